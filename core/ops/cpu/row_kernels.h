#pragma once

#include <cstdint>

#include "core/ops/cpu/vector_math.h"

// Kernels on rows and planes, over raw memory of float or Bf16; all arithmetic is fp32 with one
// rounding at the end.
namespace cogvx::cpu {

// y = (LayerNorm(x) * weight + bias) * (1 + scale) + shift over rows of `width`; scale and shift
// both null: left out.
template <typename T>
struct NormRows {
  const T* x;
  T* y;
  int64_t rows;
  int64_t width;
  const float* weight;
  const float* bias;
  float eps;
  const T* scale;
  const T* shift;
};
void norm_rows(const NormRows<float>& call);
void norm_rows(const NormRows<Bf16>& call);

// x += gate * y
template <typename T>
struct GatedAddRows {
  T* x;
  const T* y;
  const T* gate;
  int64_t rows;
  int64_t width;
};
void gated_add_rows(const GatedAddRows<float>& call);
void gated_add_rows(const GatedAddRows<Bf16>& call);

// One head's q or k (or, without a norm weight, v) of `rows` rows, taken from the projection and
// written where attention or the exchange wants it. cos and sin (fp32 [rows, width]) rotate
// neighbouring pairs; null: no rotation.
template <typename T>
struct HeadRows {
  const T* x;
  int64_t x_stride;
  T* y;
  int64_t y_stride;
  int64_t rows;
  int64_t width;
  const float* weight;
  const float* bias;
  float eps;
  const float* cos;
  const float* sin;
};
void head_rows(const HeadRows<float>& call);
void head_rows(const HeadRows<Bf16>& call);

// Sum of x and of (x - mean)^2, in double over fp32 partial sums of 4096 elements.
double plane_sum(const float* x, int64_t count);
double plane_sum(const Bf16* x, int64_t count);
double plane_square_sum(const float* x, int64_t count, float mean);
double plane_square_sum(const Bf16* x, int64_t count, float mean);

// y = silu(((x - mean) * factor + offset) * scale + shift) elementwise; scale and shift both null:
// left out.
template <typename T>
struct NormSiluRow {
  const T* x;
  T* y;
  int64_t count;
  float mean;
  float factor;
  float offset;
  const float* scale;
  const float* shift;
};
void norm_silu_row(const NormSiluRow<float>& call);
void norm_silu_row(const NormSiluRow<Bf16>& call);

}  // namespace cogvx::cpu
