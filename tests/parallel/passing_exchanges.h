#pragma once

#include <array>
#include <functional>
#include <span>
#include <vector>

#include "core/pipeline/work_exchange.h"
#include "core/transformer/sequence_exchange.h"

// Both pass every call on; what is derived from them changes some.
namespace cogvx::test {

class PassingExchange : public SequenceExchange {
 public:
  explicit PassingExchange(SequenceExchange& inner) : inner_(inner) {}
  void begin_sequence(const SequenceShape& shape) override { inner_.begin_sequence(shape); }
  RowRange rows() const override { return inner_.rows(); }
  int head_groups() const override { return inner_.head_groups(); }
  at::Tensor send_buffer() override { return inner_.send_buffer(); }
  void begin_to_heads() override { inner_.begin_to_heads(); }
  at::Tensor finish_to_heads(int group) override { return inner_.finish_to_heads(group); }
  std::span<const AttentionRun> runs(int group) const override { return inner_.runs(group); }
  at::Tensor attention_output(int group) override { return inner_.attention_output(group); }
  void begin_to_rows(int group) override { inner_.begin_to_rows(group); }
  at::Tensor finish_to_rows() override { return inner_.finish_to_rows(); }
  at::Tensor gather_rows(const at::Tensor& x_rC, RowRange range) override {
    return inner_.gather_rows(x_rC, range);
  }

 protected:
  SequenceExchange& inner_;
};

class PassingWork : public WorkExchange {
 public:
  explicit PassingWork(WorkExchange& inner) : inner_(inner) {}
  at::Tensor made_once(const TensorShape& shape, const std::function<at::Tensor()>& make) override {
    return inner_.made_once(shape, make);
  }
  bool owns_branch(int branch) const override { return inner_.owns_branch(branch); }
  void share_branches(const TensorShape& shape, std::array<at::Tensor, 2>& predictions) override {
    inner_.share_branches(shape, predictions);
  }
  std::vector<at::Tensor> run_tiles(std::span<const TileJob> jobs,
                                    const std::function<at::Tensor(int64_t)>& decode) override {
    return inner_.run_tiles(jobs, decode);
  }

 protected:
  WorkExchange& inner_;
};

}  // namespace cogvx::test
