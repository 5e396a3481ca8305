#include "core/weights/non_finite.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace cogvx {
namespace {

template <typename Bits>
Bits load(const std::byte* bytes, size_t i) {
  Bits bits;
  std::memcpy(&bits, bytes + i * sizeof(Bits), sizeof(Bits));
  return bits;
}

// A number is finite when its magnitude, read as an integer, is below that of infinity.
template <typename Bits>
size_t count(std::span<const std::byte> bytes, Bits magnitude, Bits infinity) {
  const size_t numbers = bytes.size() / sizeof(Bits);
  // Without a branch, so that the compiler takes many at once; counting is for the rare bad tensor.
  Bits largest = 0;
  for (size_t i = 0; i < numbers; ++i) {
    largest = std::max(largest, static_cast<Bits>(load<Bits>(bytes.data(), i) & magnitude));
  }
  if (largest < infinity) return 0;
  size_t found = 0;
  for (size_t i = 0; i < numbers; ++i)
    found += (load<Bits>(bytes.data(), i) & magnitude) >= infinity ? 1 : 0;
  return found;
}

}  // namespace

size_t count_non_finite(std::span<const std::byte> bytes, const std::string& dtype) {
  // Signed, because SSE2 has a maximum of signed 16-bit numbers only.
  if (dtype == "F32") return count<int32_t>(bytes, 0x7fffffff, 0x7f800000);
  if (dtype == "F16") return count<int16_t>(bytes, 0x7fff, 0x7c00);
  if (dtype == "BF16") return count<int16_t>(bytes, 0x7fff, 0x7f80);
  return 0;
}

}  // namespace cogvx
