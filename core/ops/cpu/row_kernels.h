#pragma once

#include <cstdint>

#include "core/ops/cpu/vector_math.h"

// Kernels on rows and planes, over raw memory of float or Bf16; all arithmetic is fp32 with one
// rounding at the end.
namespace cogvx::cpu {

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
