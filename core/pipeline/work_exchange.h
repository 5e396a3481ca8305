#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace cogvx {

// All there is to know of a tensor before it is there.
struct TensorShape {
  std::vector<int64_t> sizes;
  at::ScalarType dtype = at::kFloat;
};

// One tile to be decoded or encoded, and what it gives.
struct TileJob {
  int64_t area = 0;
  TensorShape result;
};

// The pipeline's seam to whoever shares its work: which units are done here, and how results get to
// where they are needed. It moves bytes and computes nothing.
class WorkExchange {
 public:
  virtual ~WorkExchange() = default;

  // What is made once: `make` runs in one place, and everyone gets what it made.
  virtual at::Tensor made_once(const TensorShape& shape,
                               const std::function<at::Tensor()>& make) = 0;

  // Guidance branches: 0 without the prompt, 1 with it.
  virtual bool owns_branch(int branch) const = 0;
  // Predictions of own branches, the other undefined -> both, for everyone.
  virtual void share_branches(const TensorShape& shape, std::array<at::Tensor, 2>& predictions) = 0;

  // Runs each tile where it is owned. Where `made_once` makes, it returns all of them in order,
  // elsewhere none.
  virtual std::vector<at::Tensor> run_tiles(std::span<const TileJob> jobs,
                                            const std::function<at::Tensor(int64_t)>& run) = 0;
};

// Everything is done here.
class OneWorker final : public WorkExchange {
 public:
  at::Tensor made_once(const TensorShape&, const std::function<at::Tensor()>& make) override {
    return make();
  }
  bool owns_branch(int) const override { return true; }
  void share_branches(const TensorShape&, std::array<at::Tensor, 2>&) override {}
  std::vector<at::Tensor> run_tiles(std::span<const TileJob> jobs,
                                    const std::function<at::Tensor(int64_t)>& run) override;
};

}  // namespace cogvx
