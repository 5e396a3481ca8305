#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>

#include "core/ops/cuda/gemm.h"

// Where CudaOps asks how a layer is called. Who answers may check the kernel at every size first
// (core/ops/chooser.h); without anybody it is called as it is.
namespace cogvx::cuda {

// Rows from global row `first_row` on.
using RowPlan = std::function<void(const at::Tensor& x_RK, int64_t first_row,
                                   const at::Tensor& workspace_B, const at::Tensor& y_RN)>;
// Whole heads qkv_H3NE -> out_HNE.
using HeadPlan = std::function<void(const at::Tensor& qkv_H3NE, const at::Tensor& out_HNE)>;

struct HeadLayer {
  int64_t rows = 0;
  int64_t width = 0;
  at::ScalarType dtype = at::kFloat;
  auto operator<=>(const HeadLayer&) const = default;
};

// `gemm` picks the kernel for so many rows; its weights are those of the call being made.
using PickGemm = std::function<RowPlan(int64_t rows)>;

struct Planner {
  std::function<RowPlan(const GemmLayer& layer, const PickGemm& pick)> rows;
  std::function<HeadPlan(const HeadLayer& layer, const HeadPlan& one_by_one)> heads;
};
// Picks at `joint_rows` rows and calls as it is.
Planner unchecked_planner(int64_t joint_rows);

}  // namespace cogvx::cuda
