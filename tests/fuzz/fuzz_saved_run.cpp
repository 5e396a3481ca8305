// Any bytes as a latents file and as a state file.
#include "core/pipeline/saved_run.h"
#include "tests/fuzz/fuzz_support.h"

using namespace cogvx;
using fuzz::require;

namespace {

void require_inside(const StoredTensor& tensor, size_t file_size) {
  require(tensor.begin >= 8 && tensor.begin < tensor.end && tensor.end <= file_size,
          "a tensor of something lies in the file");
}

void check_latents(std::string_view file) {
  const StoredLatents found = parse_latents(fuzz::as_bytes(file), "input");
  require_inside(found.latents, file.size());
  require(found.latents.end - found.latents.begin < file.size(), "the latents are in the file");
  const std::string again =
      fuzz::written_again({{found.latents}, latents_metadata(found.request, found.engine)}, file);
  const StoredLatents same = parse_latents(fuzz::as_bytes(again), "input");
  require(same.request == found.request && same.engine == found.engine, "latents come back");
  require(same.latents.shape == found.latents.shape, "the shape comes back");
}

void check_state(std::string_view file) {
  const StoredState found = parse_state(fuzz::as_bytes(file), "input");
  std::vector<StoredTensor> tensors{found.latents, found.generator};
  if (found.previous_x0) tensors.push_back(*found.previous_x0);
  for (const StoredTensor& tensor : tensors) require_inside(tensor, file.size());
  require(found.next_step >= 0 && found.next_step <= found.request.steps + 1, "steps in range");
  const std::string again = fuzz::written_again(
      {tensors, state_metadata(found.request, found.engine, found.next_step)}, file);
  const StoredState same = parse_state(fuzz::as_bytes(again), "input");
  require(same.request == found.request && same.engine == found.engine, "a state comes back");
  require(same.next_step == found.next_step, "the step comes back");
  require(same.previous_x0.has_value() == found.previous_x0.has_value(), "x0 comes back");
}

}  // namespace

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned seed) {
  return fuzz::mutate_safetensors(data, size, max_size, seed);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view file(reinterpret_cast<const char*>(data), size);
  const bool latents = fuzz::parses([&] { check_latents(file); });
  const bool state = fuzz::parses([&] { check_state(file); });
  require(!latents || !state, "no file is both");
  return 0;
}
