#pragma once

#include "core/base/thread_pool.h"
#include "core/ops/cpu/kernels.h"
#include "core/ops/ops.h"

namespace cogvx::cpu {

// What LinearCall adds to on its way out: y += gate * result, the gate by the row's kind.
struct GatedSum {
  RowVectors gate;
  RowSplit split;
};

// y_RN = activation(x_RK W_NK^T + bias_N). Units: (block of 64 rows at a multiple of 64 counted
// from global row `first_row`, 64 output columns), each over all of K in order.
at::Tensor linear(ThreadPool& pool, const Kernels& kernels, const at::Tensor& x_RK,
                  const LinearWeights& weights, const LinearCall& call);
// y_RN += gate * (...), with one rounding.
void add_linear(ThreadPool& pool, const Kernels& kernels, const at::Tensor& x_RK,
                const LinearWeights& weights, const LinearCall& call, const GatedSum& sum,
                at::Tensor& y_RN);
LinearWeights pack_linear(ThreadPool& pool, const at::Tensor& weight_NK, const at::Tensor& bias_N);

}  // namespace cogvx::cpu
