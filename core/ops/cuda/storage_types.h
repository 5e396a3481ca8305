#pragma once

#include <stdint.h>
#include <string.h>

// The numbers that kernels load and store. Everything here and in row_functions.h is compiled
// twice, by nvcc for the device and by the C++ compiler for the tests, and gives the same bits in
// both.
#ifdef __CUDACC__
#define COGVX_HOST_DEVICE __host__ __device__
#else
#define COGVX_HOST_DEVICE
#endif

namespace cogvx::cuda {

struct Bf16 {
  uint16_t bits;
};
struct Half {
  uint16_t bits;
};

COGVX_HOST_DEVICE inline uint32_t bits_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

COGVX_HOST_DEVICE inline float float_of(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

COGVX_HOST_DEVICE inline float load(float x) { return x; }
COGVX_HOST_DEVICE inline float load(Bf16 x) { return float_of(uint32_t{x.bits} << 16); }
COGVX_HOST_DEVICE inline void store(float& to, float x) { to = x; }
// Rounds to nearest even; NaN becomes 0x7fc0, as in core/ops/cpu.
COGVX_HOST_DEVICE inline void store(Bf16& to, float x) {
  const uint32_t bits = bits_of(x);
  const uint32_t rounded = (bits + 0x7fffU + (bits >> 16 & 1U)) >> 16;
  to.bits = static_cast<uint16_t>(x == x ? rounded : 0x7fc0U);
}

// Rounds to nearest even, to infinity from 65520 on; NaN becomes 0x7fff, as the device has it.
COGVX_HOST_DEVICE inline uint16_t half_bits(float x) {
  const uint32_t bits = bits_of(x);
  const uint32_t sign = bits >> 16 & 0x8000U;
  const uint32_t size = bits & 0x7fffffffU;
  if (size > 0x7f800000U) return 0x7fffU;
  if (size >= 0x477ff000U) return static_cast<uint16_t>(sign | 0x7c00U);
  if (size < 0x38800000U) {
    // Below 2^-14: adding 0.5 leaves the multiple of 2^-24 in the low bits, rounded by the
    // addition.
    const uint32_t steps = bits_of(float_of(size) + 0.5f) - 0x3f000000U;
    return static_cast<uint16_t>(sign | steps);
  }
  const uint32_t rounded = size - 0x38000000U + 0xfffU + (size >> 13 & 1U);
  return static_cast<uint16_t>(sign | rounded >> 13);
}

COGVX_HOST_DEVICE inline float half_value(uint16_t bits) {
  const uint32_t sign = (bits & 0x8000U) << 16;
  const uint32_t size = bits & 0x7fffU;
  if (size >= 0x7c00U) return float_of(sign | 0x7f800000U | (size & 0x3ffU) << 13);
  if (size >= 0x400U) return float_of(sign | ((size << 13) + 0x38000000U));
  const float steps = float_of(size | 0x3f000000U) - 0.5f;  // size * 2^-24
  return float_of(sign | bits_of(steps));
}

// The device has one instruction for each.
#ifdef __CUDA_ARCH__
__device__ inline float load(Half x) {
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(x.bits));
  return value;
}
__device__ inline void store(Half& to, float x) {
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(to.bits) : "f"(x));
}
#else
COGVX_HOST_DEVICE inline float load(Half x) { return half_value(x.bits); }
COGVX_HOST_DEVICE inline void store(Half& to, float x) { to.bits = half_bits(x); }
#endif

// x as it comes back from memory.
template <typename T>
COGVX_HOST_DEVICE inline float rounded(float x) {
  T stored;
  store(stored, x);
  return load(stored);
}

}  // namespace cogvx::cuda
