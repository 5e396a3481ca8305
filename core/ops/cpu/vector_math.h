#pragma once

#include <cstdint>

#include "core/ops/cpu/storage.h"

// Scalar functions written so that loops over them vectorise.
namespace cogvx::cpu {

// e^x to about 1 ulp, 0 below -87.3, infinity above 88.7; NaN stays NaN.
COGVX_INLINE float exp_f32(float x) {
  constexpr float kLog2E = 1.44269504088896341f;
  constexpr float kLn2High = 0.693359375f;
  constexpr float kLn2Low = -2.12194440e-4f;
  constexpr float kRounder = 12582912.0f;  // 1.5 * 2^23: adding it rounds to a whole number
  // Written so that NaN fails no comparison and passes through.
  const float clamped = x < -87.3f ? -87.3f : (x > 88.7f ? 88.7f : x);
  const float shifted = clamped * kLog2E + kRounder;
  const float whole = shifted - kRounder;
  const float r = (clamped - whole * kLn2High) - whole * kLn2Low;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const auto exponent =
      __builtin_bit_cast(int32_t, shifted) - __builtin_bit_cast(int32_t, kRounder);
  // Two factors, because 2^128 and 2^-127 do not fit one.
  const int32_t half = exponent >> 1;
  const float scale1 = __builtin_bit_cast(float, (half + 127) << 23);
  const float scale2 = __builtin_bit_cast(float, (exponent - half + 127) << 23);
  const float result = p * scale1 * scale2;
  return x < -87.3f ? 0.0f : (x > 88.7f ? __builtin_inff() : result);
}

COGVX_INLINE float silu_f32(float x) { return x / (1.0f + exp_f32(-x)); }

// GELU in its tanh form, 0.5 x (1 + tanh(u)) = x / (1 + e^(-2u)).
COGVX_INLINE float gelu_tanh_f32(float x) {
  constexpr float kSqrt2OverPi = 0.7978845608028654f;
  const float u = kSqrt2OverPi * (x + 0.044715f * x * x * x);
  return x / (1.0f + exp_f32(-2.0f * u));
}

}  // namespace cogvx::cpu
