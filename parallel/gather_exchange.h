#pragma once

#include <ATen/core/Tensor.h>

#include <span>
#include <vector>

#include "parallel/shared_sequence.h"

namespace cogvx {

// Shape letters: N joint rows, n own rows, H heads, E head dim.

// Shares attention by query rows: every rank gets k and v of all rows and heads, and computes the
// query tiles of its own rows, whose results are where they belong. Nothing is packed: every rank's
// k lies side by side in row order, and v likewise, so each part is broadcast to its place.
//
// The whole sequence's place is kept for q and for the results too, because attention counts rows
// from the sequence's begin; only own rows are ever touched, so the rest has addresses and no
// memory.
//
// All heads travel in one group: groups of ranks have no broadcast that is begun and finished
// later, and an all-to-all would need a copy for each rank.
class GatherExchange final : public SharedSequence {
 public:
  explicit GatherExchange(Group& group) : SharedSequence(group) {}

  int head_groups() const override { return 1; }
  at::Tensor send_buffer() override;
  void begin_to_heads() override;
  at::Tensor finish_to_heads(int group) override;
  std::span<const AttentionRun> runs(int) const override { return runs_; }
  at::Tensor attention_output(int group) override;
  void begin_to_rows(int group) override;
  at::Tensor finish_to_rows() override;

 private:
  bool under_way() const override;
  void share() override;
  void gather(const at::Tensor& x_NHE);

  std::vector<AttentionRun> runs_;
  at::Tensor qkv_3NHE_;
  at::Tensor out_NHE_;
  Transfer to_heads_;
  Transfer to_rows_;
};

}  // namespace cogvx
