#pragma once

#include <cstdint>

#define COGVX_INLINE inline __attribute__((always_inline))

// What kernels read and write; they compute in fp32.
namespace cogvx::cpu {

struct Bf16 {
  uint16_t bits;
};

COGVX_INLINE float load(float x) { return x; }
COGVX_INLINE float load(Bf16 x) { return __builtin_bit_cast(float, uint32_t{x.bits} << 16); }

COGVX_INLINE void store(float& to, float x) { to = x; }
// Round to nearest even; NaN stays NaN.
COGVX_INLINE void store(Bf16& to, float x) {
  const auto bits = __builtin_bit_cast(uint32_t, x);
  const uint32_t rounded = (bits + 0x7fffU + (bits >> 16 & 1U)) >> 16;
  to.bits = static_cast<uint16_t>(x == x ? rounded : 0x7fc0U);
}

}  // namespace cogvx::cpu
