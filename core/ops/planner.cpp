#include "core/ops/planner.h"

#include <ATen/ops/empty.h>

#include <memory>
#include <utility>

namespace cogvx {
namespace {

// Grows with what is asked for; what was handed out before stays whole for those that hold it.
class SharedWorkspace {
 public:
  at::Tensor reserve(int64_t bytes, at::Device device) {
    if (!bytes_B_.defined() || bytes_B_.numel() < bytes || bytes_B_.device() != device) {
      bytes_B_.reset();
      bytes_B_ = at::empty({bytes}, at::TensorOptions().dtype(at::kByte).device(device));
    }
    return bytes_B_.narrow(0, 0, bytes);
  }

 private:
  at::Tensor bytes_B_;
};

class CheckedPlanner {
 public:
  explicit CheckedPlanner(PlannerWatch watch) : watch_(std::move(watch)) {}

  RowPlan rows(const RowLayer& layer, const PickRowKernel& pick, at::Device device) {
    const ChosenRows chosen = choose_rows(layer, pick, tools(device));
    tell(chosen.verdict());
    return [chosen](const at::Tensor& x_RK, int64_t first_row, const at::Tensor& y_RN) {
      chosen.run(x_RK, first_row, y_RN);
    };
  }
  HeadPlan heads(const HeadLayer& layer, const HeadKernel& kernel, at::Device device) {
    const ChosenHeads chosen = choose_heads(layer, kernel, tools(device));
    tell(chosen.verdict());
    return [chosen](const at::Tensor& qkv_H3NE, const at::Tensor& out_HNE) {
      chosen.run(qkv_H3NE, out_HNE);
    };
  }

 private:
  ProbeTools tools(at::Device device) {
    return {.device = device,
            .reserve = [this, device](int64_t bytes) { return workspace_.reserve(bytes, device); },
            .agree = watch_.agree};
  }
  void tell(const Verdict& verdict) const {
    if (watch_.on_verdict) watch_.on_verdict(verdict);
  }

  PlannerWatch watch_;
  SharedWorkspace workspace_;
};

}  // namespace

Planner checked_planner(PlannerWatch watch) {
  const auto planner = std::make_shared<CheckedPlanner>(std::move(watch));
  return {.rows = [planner](const RowLayer& layer, const PickRowKernel& pick,
                            at::Device device) { return planner->rows(layer, pick, device); },
          .heads = [planner](const HeadLayer& layer, const HeadKernel& kernel,
                             at::Device device) { return planner->heads(layer, kernel, device); }};
}

}  // namespace cogvx
