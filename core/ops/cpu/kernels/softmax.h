#pragma once

#include "core/ops/cpu/kernels.h"
#include "core/ops/cpu/kernels/simd.h"

namespace cogvx::cpu {
namespace {

template <typename T>
void softmax(const SoftmaxCall<T>& call) {
  const Vec factor = fill(call.scale * kLog2E);
  const int64_t end = padded_columns(call.keys);
  for (int64_t r = 0; r < call.rows; ++r) {
    float* scores = call.scores + r * call.ld;
    for (int64_t k = call.keys; k < end; ++k) scores[k] = -__builtin_inff();
    Vec maxima[2] = {fill(call.maximum[r]), fill(call.maximum[r])};
    for (int64_t k = 0; k < end; k += kColumnStep) {
      maxima[0] = larger(load(scores + k), maxima[0]);
      maxima[1] = larger(load(scores + k + kColumnStep - kLanes), maxima[1]);
    }
    const float maximum = maximum_of(larger(maxima[0], maxima[1]));
    const Vec shift = fill(-maximum) * factor;
    T* probabilities = call.probabilities + r * call.ld;
    Vec sums[2] = {zero(), zero()};
    for (int64_t k = 0; k < end; k += kLanes) {
      const Vec p = exp2_of(multiply_add(load(scores + k), factor, shift));
      sums[k / kLanes % 2] = sums[k / kLanes % 2] + p;
      store(probabilities + k, p);
    }
    const float sum = sum_of(sums[0] + sums[1]);
    if (maximum == call.maximum[r]) {
      call.sum[r] += sum;
      continue;
    }
    const Vec shrink = exp2_of(multiply_add(fill(call.maximum[r]), factor, shift));
    float shrink_lanes[kLanes];
    store(shrink_lanes, shrink);
    call.sum[r] = call.sum[r] * shrink_lanes[0] + sum;
    call.maximum[r] = maximum;
    float* gathered = call.gathered + r * call.width;
    for (int64_t e = 0; e < call.width; e += kLanes)
      store(gathered + e, load(gathered + e) * shrink);
  }
}

}  // namespace
}  // namespace cogvx::cpu
