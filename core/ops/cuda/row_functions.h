#pragma once

#include <math.h>

#include "core/ops/cuda/storage_types.h"

// What the kernels compute for one element or one lane of a row, with core/ops/cpu's operations in
// core/ops/cpu's order: fp32, rounded once where the CPU stores. Whoever compiles this must not let
// a product and a sum become one operation (nvcc -fmad=false, g++ -ffp-contract=off): the bits
// would be others.
namespace cogvx::cuda {

// A row is summed in 16 lanes, lane l taking elements l, l + 16, l + 32...; the lanes are then
// folded in halves, 8 + 8, 4 + 4, 2 + 2, 1 + 1.
constexpr int kLanes = 16;

// How kernels reach memory on the device; the host emulator has overloads that watch.
template <typename T>
COGVX_HOST_DEVICE inline float read(const T* from, int64_t i) {
  return load(from[i]);
}
template <typename T>
COGVX_HOST_DEVICE inline void write(T* to, int64_t i, float x) {
  store(to[i], x);
}
COGVX_HOST_DEVICE inline void write_byte(uint8_t* to, int64_t i, uint8_t x) { to[i] = x; }
template <typename T>
COGVX_HOST_DEVICE inline void copy(T* to, int64_t i, const T* from, int64_t j) {
  to[i] = from[j];
}
template <typename T>
COGVX_HOST_DEVICE inline bool is_null(const T* pointer) {
  return pointer == nullptr;
}

// One lane's share of the sum of x[begin .. begin + width).
template <typename In>
COGVX_HOST_DEVICE inline float lane_sum(In x, int64_t begin, int64_t width, int lane) {
  float sum = 0.0f;
  for (int64_t i = lane; i < width; i += kLanes) sum += read(x, begin + i);
  return sum;
}

template <typename In>
COGVX_HOST_DEVICE inline float lane_square_sum(In x, int64_t begin, int64_t width, int lane,
                                               float mean) {
  float sum = 0.0f;
  for (int64_t i = lane; i < width; i += kLanes) {
    const float d = read(x, begin + i) - mean;
    sum += d * d;
  }
  return sum;
}

template <typename Shared>
COGVX_HOST_DEVICE inline float folded_lanes(Shared lanes, int first) {
  float folded[kLanes / 2];
  for (int l = 0; l < kLanes / 2; ++l)
    folded[l] = read(lanes, first + l) + read(lanes, first + l + kLanes / 2);
  for (int half = kLanes / 4; half > 0; half /= 2) {
    for (int l = 0; l < half; ++l) folded[l] += folded[l + half];
  }
  return folded[0];
}

struct Moments {
  float mean;
  float inverse_deviation;
};

COGVX_HOST_DEVICE inline float inverse_deviation(float square_sum, int64_t width, float eps) {
  return 1.0f / sqrtf(square_sum / static_cast<float>(width) + eps);
}

COGVX_HOST_DEVICE inline float normalised(float x, Moments m, float weight, float bias) {
  return (x - m.mean) * m.inverse_deviation * weight + bias;
}

COGVX_HOST_DEVICE inline float modulated(float n, float scale, float shift) {
  return n * (1.0f + scale) + shift;
}

COGVX_HOST_DEVICE inline float gated(float x, float gate, float y) { return x + gate * y; }

// The even and the odd element of a pair turned by rotary positions.
COGVX_HOST_DEVICE inline float rotated_even(float even, float odd, float cos, float sin) {
  return even * cos - odd * sin;
}
COGVX_HOST_DEVICE inline float rotated_odd(float even, float odd, float cos, float sin) {
  return odd * cos + even * sin;
}

// Line `line` of `lines` fading from one tile into the next: before * (1 - share) + x * share, each
// product rounded to the stored type, as the CPU's tensors do it.
template <typename T>
COGVX_HOST_DEVICE inline float faded(float before, float x, int64_t line, int64_t lines) {
  const double share = static_cast<double>(line) / static_cast<double>(lines);
  return rounded<T>(before * static_cast<float>(1 - share)) +
         rounded<T>(x * static_cast<float>(share));
}

// clamp(x * 0.5 + 0.5, 0, 1) in the stored type, then round(255 * that) in fp32, half to even.
// NaN becomes 0: whoever wants it refused looks for it first.
template <typename T>
COGVX_HOST_DEVICE inline uint8_t colour_byte(float x) {
  const float unit = rounded<T>(rounded<T>(x * 0.5f) + 0.5f);
  const float clamped = unit >= 0.0f ? (unit <= 1.0f ? unit : 1.0f) : 0.0f;
  return static_cast<uint8_t>(rintf(clamped * 255.0f));
}

}  // namespace cogvx::cuda
