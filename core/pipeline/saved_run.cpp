#include "core/pipeline/saved_run.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "core/base/errors.h"
#include "core/base/json.h"

namespace cogvx {
namespace {

constexpr char kRequestKey[] = "cogvx_request";
constexpr char kEngineKey[] = "cogvx_engine";
constexpr char kStateKey[] = "cogvx_state";
constexpr char kNextStepKey[] = "next_step";
constexpr char kStateFormat[] = "1";
constexpr int64_t kMaxGeneratorBytes = 65536;

// A parsed header whose tensors and metadata are asked for by name.
class Contents {
 public:
  Contents(std::span<const std::byte> file, std::string label)
      : label_(std::move(label)), header_(parse_safetensors(file, label_)) {}

  bool is_state() const { return header_.metadata.contains(kStateKey); }
  const std::string& metadata(const char* key) const {
    const auto found = header_.metadata.find(key);
    if (found == header_.metadata.end())
      fail(std::string("its metadata holds no '") + key + "'; was it written by cogvx-gen?");
    return found->second;
  }
  std::optional<StoredTensor> find(const std::string& name) const {
    for (const StoredTensor& tensor : header_.tensors) {
      if (tensor.name == name) return tensor;
    }
    return std::nullopt;
  }
  StoredTensor tensor(const std::string& name) const {
    std::optional<StoredTensor> found = find(name);
    if (!found) fail("holds no tensor '" + name + "'; was it written by cogvx-gen?");
    return *found;
  }
  void only(const std::vector<std::string>& names) const {
    for (const StoredTensor& tensor : header_.tensors) {
      if (std::find(names.begin(), names.end(), tensor.name) == names.end())
        fail("holds a tensor " + quoted_excerpt(tensor.name) +
             " too many; was it written by cogvx-gen?");
    }
  }
  [[noreturn]] void fail(const std::string& what) const { throw DataError(label_ + ": " + what); }
  const std::string& label() const { return label_; }

 private:
  std::string label_;
  SafetensorsHeader header_;
};

std::string describe(const StoredTensor& tensor) {
  return "'" + tensor.name + "' is " + tensor.dtype + " " + json_excerpt(tensor.shape);
}

Request read_request(const Contents& contents) {
  return request_from_json(
      parse_json_object(contents.metadata(kRequestKey), contents.label() + ": " + kRequestKey),
      contents.label());
}

std::string read_engine(const Contents& contents) {
  const std::string& engine = contents.metadata(kEngineKey);
  parse_json_object(engine, contents.label() + ": " + kEngineKey);
  return engine;
}

StoredTensor read_latents(const Contents& contents, const Request& request) {
  StoredTensor latents = contents.tensor("latents");
  const std::vector<int64_t>& shape = latents.shape;
  const int64_t frames = latent_frames(request.num_frames);
  const int64_t height = request.height / kSpatialCompression;
  const int64_t width = request.width / kSpatialCompression;
  const bool float_like =
      latents.dtype == "F32" || latents.dtype == "BF16" || latents.dtype == "F16";
  if (!float_like || shape.size() != 5 || shape[0] != 1 ||
      (shape[1] != frames && shape[1] != frames + 1) || shape[2] < 1 || shape[3] != height ||
      shape[4] != width) {
    contents.fail(describe(latents) + ", its request wants F32, BF16 or F16 [1," +
                  std::to_string(frames) + ",C," + std::to_string(height) + "," +
                  std::to_string(width) + "]");
  }
  return latents;
}

int64_t read_next_step(const Contents& contents, const Request& request) {
  const std::string& text = contents.metadata(kNextStepKey);
  int64_t step = -1;
  std::from_chars(text.data(), text.data() + text.size(), step);
  if (std::to_string(step) != text || step < 0 || step > request.steps + 1) {
    contents.fail("next_step is " + quoted_excerpt(text) + ", wanted 0 to " +
                  std::to_string(request.steps + 1));
  }
  return step;
}

}  // namespace

StoredLatents parse_latents(std::span<const std::byte> file, const std::string& label) {
  const Contents contents(file, label);
  if (contents.is_state())
    contents.fail("is the state of an unfinished denoising, wanted latents; --resume reads it");
  contents.only({"latents"});
  StoredLatents stored;
  stored.request = read_request(contents);
  stored.engine = read_engine(contents);
  stored.latents = read_latents(contents, stored.request);
  return stored;
}

StoredState parse_state(std::span<const std::byte> file, const std::string& label) {
  const Contents contents(file, label);
  if (!contents.is_state() && contents.find("latents"))
    contents.fail(
        "holds final latents, wanted the state of a denoising; --decode-latents reads it");
  if (const std::string& format = contents.metadata(kStateKey); format != kStateFormat) {
    contents.fail("is a state of format " + quoted_excerpt(format) + ", this version reads '" +
                  kStateFormat + "'");
  }
  contents.only({"latents", "previous_x0", "generator"});
  StoredState state;
  state.request = read_request(contents);
  state.engine = read_engine(contents);
  state.next_step = read_next_step(contents, state.request);
  state.latents = read_latents(contents, state.request);
  state.previous_x0 = contents.find("previous_x0");
  if (state.previous_x0 &&
      (state.previous_x0->dtype != "F32" || state.previous_x0->shape != state.latents.shape)) {
    contents.fail(describe(*state.previous_x0) + ", wanted F32 " +
                  json_excerpt(state.latents.shape));
  }
  state.generator = contents.tensor("generator");
  const std::vector<int64_t>& shape = state.generator.shape;
  if (state.generator.dtype != "U8" || shape.size() != 1 || shape[0] < 1 ||
      shape[0] > kMaxGeneratorBytes)
    contents.fail(describe(state.generator) + ", wanted U8 [1..65536]");
  return state;
}

std::map<std::string, std::string> latents_metadata(const Request& request,
                                                    const std::string& engine_json) {
  return {{kRequestKey, request_to_json(request).dump()}, {kEngineKey, engine_json}};
}

std::map<std::string, std::string> state_metadata(const Request& request,
                                                  const std::string& engine_json,
                                                  int64_t next_step) {
  std::map<std::string, std::string> metadata = latents_metadata(request, engine_json);
  metadata[kStateKey] = kStateFormat;
  metadata[kNextStepKey] = std::to_string(next_step);
  return metadata;
}

}  // namespace cogvx
