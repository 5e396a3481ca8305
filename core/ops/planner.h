#pragma once

#include <functional>
#include <string>

#include "core/ops/chooser.h"

namespace cogvx {

// Rows from global row `first_row` on.
using RowPlan =
    std::function<void(const at::Tensor& x_RK, int64_t first_row, const at::Tensor& y_RN)>;
// Whole heads, any number of them.
using HeadPlan = std::function<void(const at::Tensor& qkv_H3NE, const at::Tensor& out_HNE)>;

// Where an Ops on a device asks how a layer that is shared out is called. It is made by the program
// and handed to the device's plugin.
struct Planner {
  std::function<RowPlan(const RowLayer& layer, const PickRowKernel& pick, at::Device device)> rows;
  std::function<HeadPlan(const HeadLayer& layer, const HeadKernel& kernel, at::Device device)>
      heads;
};

// What hears of the choices; either may be empty.
struct PlannerWatch {
  // Throws where ranks hold different values.
  std::function<void(const std::string& what, uint64_t value)> agree;
  std::function<void(const Verdict& verdict)> on_verdict;
};
// Every kernel is checked by the chooser before it is used. Plans share one workspace: they run one
// after another.
Planner checked_planner(PlannerWatch watch);

}  // namespace cogvx
