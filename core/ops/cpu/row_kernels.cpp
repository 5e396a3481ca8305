#include "core/ops/cpu/row_kernels.h"

#include <algorithm>
#include <cmath>

namespace cogvx::cpu {
namespace {

// Sums run in 16 fixed lanes, so that they vectorise and mean the same on every instruction set.
constexpr int64_t kLanes = 16;
constexpr int64_t kChunk = 4096;

struct Moments {
  float mean;
  float inverse_deviation;
};

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
COGVX_INLINE Moments row_moments(const T* x, int64_t width, float eps) {
  const float mean = lane_sum(x, width) / static_cast<float>(width);
  const float variance = lane_square_sum(x, width, mean) / static_cast<float>(width);
  return {mean, 1.0f / std::sqrt(variance + eps)};
}

template <typename T>
COGVX_INLINE void norm_rows_any(const NormRows<T>& c) {
  for (int64_t r = 0; r < c.rows; ++r) {
    const T* x = c.x + r * c.width;
    T* y = c.y + r * c.width;
    const Moments m = row_moments(x, c.width, c.eps);
    if (c.scale == nullptr) {
      for (int64_t i = 0; i < c.width; ++i) {
        store(y[i], (load(x[i]) - m.mean) * m.inverse_deviation * c.weight[i] + c.bias[i]);
      }
    } else {
      for (int64_t i = 0; i < c.width; ++i) {
        const float n = (load(x[i]) - m.mean) * m.inverse_deviation * c.weight[i] + c.bias[i];
        store(y[i], n * (1.0f + load(c.scale[i])) + load(c.shift[i]));
      }
    }
  }
}

template <typename T>
COGVX_INLINE void gated_add_any(const GatedAddRows<T>& c) {
  for (int64_t r = 0; r < c.rows; ++r) {
    T* x = c.x + r * c.width;
    const T* y = c.y + r * c.width;
    for (int64_t i = 0; i < c.width; ++i) store(x[i], load(x[i]) + load(c.gate[i]) * load(y[i]));
  }
}

constexpr int64_t kMaxHeadWidth = 256;

template <typename T>
COGVX_INLINE void head_rows_any(const HeadRows<T>& c) {
  float n[kMaxHeadWidth];
  for (int64_t r = 0; r < c.rows; ++r) {
    const T* x = c.x + r * c.x_stride;
    T* y = c.y + r * c.y_stride;
    if (c.weight == nullptr) {
      std::copy_n(x, c.width, y);
      continue;
    }
    const Moments m = row_moments(x, c.width, c.eps);
    for (int64_t i = 0; i < c.width; ++i) {
      n[i] = (load(x[i]) - m.mean) * m.inverse_deviation * c.weight[i] + c.bias[i];
    }
    if (c.cos == nullptr) {
      for (int64_t i = 0; i < c.width; ++i) store(y[i], n[i]);
      continue;
    }
    const float* cos = c.cos + r * c.width;
    const float* sin = c.sin + r * c.width;
    for (int64_t i = 0; i < c.width; i += 2) {
      store(y[i], n[i] * cos[i] - n[i + 1] * sin[i]);
      store(y[i + 1], n[i + 1] * cos[i + 1] + n[i] * sin[i + 1]);
    }
  }
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

COGVX_KERNEL void norm_rows(const NormRows<float>& call) { norm_rows_any(call); }
COGVX_KERNEL void norm_rows(const NormRows<Bf16>& call) { norm_rows_any(call); }
COGVX_KERNEL void gated_add_rows(const GatedAddRows<float>& call) { gated_add_any(call); }
COGVX_KERNEL void gated_add_rows(const GatedAddRows<Bf16>& call) { gated_add_any(call); }
COGVX_KERNEL void head_rows(const HeadRows<float>& call) { head_rows_any(call); }
COGVX_KERNEL void head_rows(const HeadRows<Bf16>& call) { head_rows_any(call); }
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
