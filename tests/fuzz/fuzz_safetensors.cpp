// Any bytes as a safetensors file.
#include "tests/fuzz/fuzz_support.h"

using namespace cogvx;

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned seed) {
  return fuzz::mutate_safetensors(data, size, max_size, seed);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view file(reinterpret_cast<const char*>(data), size);
  fuzz::parses([&] {
    const SafetensorsHeader header = parse_safetensors(fuzz::as_bytes(file), "input");
    fuzz::require_layout(header, size);
    const std::string again = fuzz::written_again(header, file);
    fuzz::require_equal(header, parse_safetensors(fuzz::as_bytes(again), "input"));
  });
  return 0;
}
