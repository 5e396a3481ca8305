#pragma once

#include "core/ops/cpu/kernels.h"
#include "core/ops/cpu/kernels/simd.h"

namespace cogvx::cpu {
namespace {

// Calls f(i, vector of x at i, store or not...) over a row: whole vectors, then what is left.
template <typename F, typename Rest>
COGVX_INLINE void over(int64_t count, const F& whole, const Rest& part) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) whole(i);
  if (i < count) part(i, count - i);
}

struct Moments {
  float mean;
  float inverse_deviation;
};

template <typename T>
COGVX_INLINE Moments row_moments(const T* x, int64_t width, float eps) {
  Vec sum = zero();
  over(
      width, [&](int64_t i) { sum = sum + load(x + i); },
      [&](int64_t i, int64_t n) { sum = sum + load_part(x + i, n); });
  const float mean = sum_of(sum) / static_cast<float>(width);
  Vec squares = zero();
  over(
      width,
      [&](int64_t i) {
        const Vec d = load(x + i) - fill(mean);
        squares = multiply_add(d, d, squares);
      },
      [&](int64_t i, int64_t n) {
        // Lanes behind the row would count as well.
        float centred[kLanes] = {};
        for (int64_t l = 0; l < n; ++l) centred[l] = cpu::load(x[i + l]) - mean;
        squares = multiply_add(load(centred), load(centred), squares);
      });
  const float variance = sum_of(squares) / static_cast<float>(width);
  return {mean, 1.0f / __builtin_sqrtf(variance + eps)};
}

template <bool kModulated, typename T>
COGVX_INLINE void norm_rows_of(const NormRows<T>& c) {
  for (int64_t r = 0; r < c.rows; ++r) {
    const T* x = c.x + r * c.width;
    T* y = c.y + r * c.width;
    const Moments m = row_moments(x, c.width, c.eps);
    const Vec mean = fill(m.mean), factor = fill(m.inverse_deviation);
    over(
        c.width,
        [&](int64_t i) {
          const Vec weight = load(c.weight + i), bias = load(c.bias + i);
          Vec n = multiply_add((load(x + i) - mean) * factor, weight, bias);
          if constexpr (kModulated)
            n = multiply_add(n, fill(1.0f) + load(c.scale + i), load(c.shift + i));
          store(y + i, n);
        },
        [&](int64_t i, int64_t left) {
          const Vec weight = load_part(c.weight + i, left), bias = load_part(c.bias + i, left);
          Vec n = multiply_add((load_part(x + i, left) - mean) * factor, weight, bias);
          if constexpr (kModulated)
            n = multiply_add(n, fill(1.0f) + load_part(c.scale + i, left),
                             load_part(c.shift + i, left));
          store_part(y + i, n, left);
        });
  }
}

template <typename T>
void norm_rows(const NormRows<T>& call) {
  if (call.scale != nullptr) {
    norm_rows_of<true>(call);
  } else {
    norm_rows_of<false>(call);
  }
}

template <typename T>
void gated_add_rows(const GatedAddRows<T>& c) {
  for (int64_t r = 0; r < c.rows; ++r) {
    T* x = c.x + r * c.width;
    const T* y = c.y + r * c.width;
    over(
        c.width,
        [&](int64_t i) { store(x + i, multiply_add(load(c.gate + i), load(y + i), load(x + i))); },
        [&](int64_t i, int64_t n) {
          store_part(
              x + i,
              multiply_add(load_part(c.gate + i, n), load_part(y + i, n), load_part(x + i, n)), n);
        });
  }
}

// n cos + (its pair's other, the first one's negated) sin
COGVX_INLINE Vec rotated(Vec n, Vec cos, Vec sin) {
  return multiply_add(negate_even(swap_neighbours(n)), sin, n * cos);
}

template <bool kRotated, typename T>
COGVX_INLINE void head_rows_of(const HeadRows<T>& c) {
  for (int64_t r = 0; r < c.rows; ++r) {
    const T* x = c.x + r * c.x_stride;
    T* y = c.y + r * c.y_stride;
    const Moments m = row_moments(x, c.width, c.eps);
    const Vec mean = fill(m.mean), factor = fill(m.inverse_deviation);
    const float* cos = c.cos + r * c.width;
    const float* sin = c.sin + r * c.width;
    over(
        c.width,
        [&](int64_t i) {
          Vec n = multiply_add((load(x + i) - mean) * factor, load(c.weight + i), load(c.bias + i));
          if constexpr (kRotated) n = rotated(n, load(cos + i), load(sin + i));
          store(y + i, n);
        },
        [&](int64_t i, int64_t left) {
          Vec n = multiply_add((load_part(x + i, left) - mean) * factor,
                               load_part(c.weight + i, left), load_part(c.bias + i, left));
          if constexpr (kRotated)
            n = rotated(n, load_part(cos + i, left), load_part(sin + i, left));
          store_part(y + i, n, left);
        });
  }
}

template <typename T>
void head_rows(const HeadRows<T>& c) {
  if (c.weight == nullptr) {
    for (int64_t r = 0; r < c.rows; ++r)
      __builtin_memcpy(c.y + r * c.y_stride, c.x + r * c.x_stride, sizeof(T) * c.width);
  } else if (c.cos != nullptr) {
    head_rows_of<true>(c);
  } else {
    head_rows_of<false>(c);
  }
}

}  // namespace
}  // namespace cogvx::cpu
