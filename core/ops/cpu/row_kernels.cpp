#include "core/ops/cpu/row_kernels.h"

#include <algorithm>
#include <cmath>

namespace cogvx::cpu {
namespace {

// Sums run in 16 fixed lanes, so that they vectorise and mean the same on every instruction set.
constexpr int64_t kLanes = 16;
constexpr int64_t kChunk = 4096;

template <typename T>
COGVX_INLINE float lane_sum(const T* x, int64_t count) {
  float lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int64_t l = 0; l < kLanes; ++l) lanes[l] += load(x[i + l]);
  }
  for (int64_t l = 0; i + l < count; ++l) lanes[l] += load(x[i + l]);
  for (int64_t half = kLanes / 2; half > 0; half /= 2) {
    for (int64_t l = 0; l < half; ++l) lanes[l] += lanes[l + half];
  }
  return lanes[0];
}

template <typename T>
COGVX_INLINE float lane_square_sum(const T* x, int64_t count, float mean) {
  float lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int64_t l = 0; l < kLanes; ++l) {
      const float d = load(x[i + l]) - mean;
      lanes[l] += d * d;
    }
  }
  for (int64_t l = 0; i + l < count; ++l) {
    const float d = load(x[i + l]) - mean;
    lanes[l] += d * d;
  }
  for (int64_t half = kLanes / 2; half > 0; half /= 2) {
    for (int64_t l = 0; l < half; ++l) lanes[l] += lanes[l + half];
  }
  return lanes[0];
}

template <typename T>
COGVX_INLINE void norm_silu_any(const NormSiluRow<T>& c) {
  if (c.scale == nullptr) {
    for (int64_t i = 0; i < c.count; ++i) {
      store(c.y[i], silu_f32((load(c.x[i]) - c.mean) * c.factor + c.offset));
    }
  } else {
    for (int64_t i = 0; i < c.count; ++i) {
      const float n = (load(c.x[i]) - c.mean) * c.factor + c.offset;
      store(c.y[i], silu_f32(n * c.scale[i] + c.shift[i]));
    }
  }
}

template <typename T>
COGVX_INLINE double plane_sum_any(const T* x, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; i += kChunk) sum += lane_sum(x + i, std::min(kChunk, count - i));
  return sum;
}

template <typename T>
COGVX_INLINE double plane_square_sum_any(const T* x, int64_t count, float mean) {
  double sum = 0;
  for (int64_t i = 0; i < count; i += kChunk)
    sum += lane_square_sum(x + i, std::min(kChunk, count - i), mean);
  return sum;
}

}  // namespace

COGVX_KERNEL double plane_sum(const float* x, int64_t count) { return plane_sum_any(x, count); }
COGVX_KERNEL double plane_sum(const Bf16* x, int64_t count) { return plane_sum_any(x, count); }
COGVX_KERNEL double plane_square_sum(const float* x, int64_t count, float mean) {
  return plane_square_sum_any(x, count, mean);
}
COGVX_KERNEL double plane_square_sum(const Bf16* x, int64_t count, float mean) {
  return plane_square_sum_any(x, count, mean);
}
COGVX_KERNEL void norm_silu_row(const NormSiluRow<float>& call) { norm_silu_any(call); }
COGVX_KERNEL void norm_silu_row(const NormSiluRow<Bf16>& call) { norm_silu_any(call); }

}  // namespace cogvx::cpu
