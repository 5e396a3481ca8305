#include "app/resident.h"

#include <algorithm>
#include <set>
#include <string>

#include "core/pipeline/component_sizes.h"

namespace cogvx::app {
namespace {

// The weights are the same whatever is computed with them.
VaeWork no_work() {
  const auto none = [](int64_t, int64_t, int64_t) { return int64_t{0}; };
  const auto neither = [](int64_t, int64_t) { return int64_t{0}; };
  return {.convolution = none, .frame_convolution = neither, .norm = neither};
}

}  // namespace

Resident resident_texts(const std::vector<const Request*>& requests, const Checkpoint& checkpoint) {
  std::set<std::string> prompts;
  for (const Request* request : requests) {
    prompts.insert(request->prompt);
    if (request->uses_guidance()) prompts.insert(request->negative_prompt);
  }
  if (requests.size() < 2) return {};
  const Request& any = *requests.front();
  return {.texts = std::ssize(prompts) * any.max_text_tokens *
                   checkpoint.transformer.text_embed_dim * element_bytes(any.dtype)};
}

Resident resident_parts(const std::vector<const Request*>& requests, const Checkpoint& checkpoint) {
  if (requests.size() < 2) return {};
  const Request& any = *requests.front();
  const int64_t bytes = element_bytes(any.dtype);
  Resident parts{.transformer = transformer_parameters(checkpoint.transformer) * bytes,
                 .decoder = decoder_sizes(checkpoint, any, Tile{}, no_work()).weights * bytes};
  const auto begins_with_pixels = [](const Request* r) { return r->input_frames() > 0; };
  const auto one = std::find_if(requests.begin(), requests.end(), begins_with_pixels);
  if (one != requests.end()) {
    parts.encoder =
        encoder_sizes(checkpoint, (*one)->input_frames(), Tile{}, no_work()).weights * bytes;
  }
  return parts;
}

Resident operator+(const Resident& a, const Resident& b) {
  return {.texts = a.texts + b.texts,
          .transformer = a.transformer + b.transformer,
          .decoder = a.decoder + b.decoder,
          .encoder = a.encoder + b.encoder};
}

MemoryPlan with_resident(MemoryPlan plan, const Resident& resident) {
  const auto add = [](int64_t& stage, int64_t bytes) {
    if (stage > 0) stage += bytes;
  };
  // The texts come first, when no part is there yet.
  add(plan.encode_text, resident.texts);
  add(plan.encode_video, resident.texts + resident.transformer + resident.decoder);
  add(plan.denoise, resident.texts + resident.decoder + resident.encoder);
  add(plan.decode, resident.texts + resident.transformer + resident.encoder);
  return plan;
}

MemoryPlan larger(const MemoryPlan& a, const MemoryPlan& b) {
  return {.encode_text = std::max(a.encode_text, b.encode_text),
          .encode_video = std::max(a.encode_video, b.encode_video),
          .denoise = std::max(a.denoise, b.denoise),
          .decode = std::max(a.decode, b.decode)};
}

}  // namespace cogvx::app
