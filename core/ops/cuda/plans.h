#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>

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

// A kernel as it was picked; its weights are those of the call being made, so that layers of one
// shape share it.
struct PickedGemm {
  std::string id;
  int64_t workspace_bytes = 0;
  std::function<void(const at::Tensor& x_RK, const at::Tensor& workspace_B, const at::Tensor& y_RN)>
      run;
};
// Picks the kernel for so many rows.
using PickGemm = std::function<PickedGemm(int64_t rows)>;

// Attention of any number of heads: in one call, or each on its own over several streams, which is
// the canonical way.
struct HeadKernels {
  std::string id;
  HeadPlan all_at_once;
  HeadPlan one_by_one;
};

struct Planner {
  std::function<RowPlan(const GemmLayer& layer, const PickGemm& pick)> rows;
  std::function<HeadPlan(const HeadLayer& layer, const HeadKernels& kernels)> heads;
};
// Picks at `joint_rows` rows and calls as it is.
Planner unchecked_planner(int64_t joint_rows);

}  // namespace cogvx::cuda
