#pragma once

#include <vector>

#include "tests/support/passing_ops.h"

namespace cogvx::test {

// Passes every call on and keeps what linear layers and modulated norms gave, so that a test sees
// the inside of a model.
class RecordingOps final : public PassingOps {
 public:
  using PassingOps::PassingOps;

  const std::vector<at::Tensor>& linears() const { return linears_; }
  const std::vector<at::Tensor>& norms() const { return norms_; }
  void forget() {
    linears_.clear();
    norms_.clear();
  }

  at::Tensor linear(const at::Tensor& x, const LinearWeights& weights,
                    const LinearCall& call) override {
    return linears_.emplace_back(inner_.linear(x, weights, call));
  }
  void add_linear(at::Tensor& x, const at::Tensor& y, const LinearWeights& weights,
                  const GatedLinearCall& call) override {
    Ops::add_linear(x, y, weights, call);
  }
  at::Tensor modulated_norm(const at::Tensor& x, const NormWeights& norm, const RowVectors& shift,
                            const RowVectors& scale, RowSplit split) override {
    return norms_.emplace_back(inner_.modulated_norm(x, norm, shift, scale, split));
  }

 private:
  std::vector<at::Tensor> linears_;
  std::vector<at::Tensor> norms_;
};

}  // namespace cogvx::test
