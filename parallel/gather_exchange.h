#pragma once

#include <ATen/core/Tensor.h>

#include <span>
#include <vector>

#include "parallel/shared_sequence.h"

namespace cogvx {

// Shape letters: N joint rows, n own rows, H heads of a group, E head dim.

// Shares attention by query rows: every rank gets k and v of all rows and heads, and computes the
// query tiles of its own rows, whose results are where they belong. Nothing is packed: every rank's
// k lies side by side in row order, and v likewise, so each part is broadcast to its place.
//
// The whole sequence's place is kept for q and for the results too, because attention counts rows
// from the sequence's begin; only own rows are ever touched, so the rest has addresses and no
// memory.
class GatherExchange final : public SharedSequence {
 public:
  explicit GatherExchange(Group& group, SharingOptions options = {})
      : SharedSequence(group, options) {}

  at::Tensor send_buffer(int group) override;
  void begin_to_heads(int group) override;
  at::Tensor finish_to_heads(int group) override;
  std::span<const AttentionRun> runs(int group) const override { return parts_[group].runs; }
  at::Tensor attention_output(int group) override;
  void begin_to_rows(int group) override;
  at::Tensor finish_to_rows(int group) override;

 private:
  struct Part {
    std::vector<AttentionRun> runs;
    at::Tensor qkv_3NHE;
    at::Tensor out_NHE;
    Transfer to_heads;
    Transfer to_rows;
  };

  bool under_way() const override;
  void share(std::span<const HeadGroup> groups) override;
  void gather(const at::Tensor& x_NHE);

  std::vector<Part> parts_;
};

}  // namespace cogvx
