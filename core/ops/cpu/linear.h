#pragma once

#include "core/ops/cpu/workers.h"
#include "core/ops/ops.h"

namespace cogvx::cpu {

// y_RN = activation(x_RK W_NK^T + bias_N). Units: (block of 64 rows at a multiple of 64 counted
// from global row `first_row`, 64 output columns), each over all of K in order.
at::Tensor linear(const Workers& workers, const at::Tensor& x_RK, const LinearWeights& weights,
                  const LinearCall& call);
// Ops::add_linear, with one rounding. The same units.
void add_linear(const Workers& workers, at::Tensor& x_RD, const at::Tensor& y_RK,
                const LinearWeights& weights, const GatedLinearCall& call);
LinearWeights pack_linear(ThreadPool& pool, const at::Tensor& weight_NK, const at::Tensor& bias_N);

}  // namespace cogvx::cpu
