#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <span>
#include <vector>

#include "parallel/shared_sequence.h"
#include "parallel/ulysses_plan.h"

namespace cogvx {

// Shape letters: N joint rows, n own rows, H heads, h heads of a group this rank takes part in, E
// head dim, P ranks, B bytes.

// Shares attention by heads: q, k and v of own rows travel to whoever computes their heads, and the
// results travel back to the rows' owners. Of a head split between ranks each of them gets k and v,
// and q of its own query tiles.
//
// Sent to rank d, for each of its runs in order: q of the run's rows, then k and v of all own rows;
// then back, for each of the sender's runs in order, the rows that d owns. With N rows and H heads
// that P divides evenly, a layer sends 4 N H E (P - 1) / P^2 elements.
class UlyssesExchange final : public SharedSequence {
 public:
  explicit UlyssesExchange(Group& group, SharingOptions options = {});  // throws UsageError

  int head_groups() const override { return static_cast<int>(plan_.groups.size()); }
  at::Tensor send_buffer() override { return send_H3nE_; }
  void begin_to_heads() override;
  at::Tensor finish_to_heads(int group) override;
  std::span<const AttentionRun> runs(int group) const override { return parts_[group].runs; }
  at::Tensor attention_output(int group) override { return parts_[group].out_hNE; }
  void begin_to_rows(int group) override;
  at::Tensor finish_to_rows() override;

 private:
  // One head group's own runs, buffers, and the transfer under way.
  struct Part {
    std::vector<AttentionRun> runs;  // heads counted within own heads
    at::Tensor packed_B;             // what leaves
    at::Tensor arrived_B;
    at::Tensor qkv_h3NE;
    at::Tensor out_hNE;
    at::Tensor returned_B;  // results on their way back to the rows' owners
    at::Tensor result_B;
    Transfer transfer;
  };

  bool under_way() const override;
  void share() override;
  void pack(int group);

  std::optional<int> head_groups_;
  UlyssesPlan plan_;
  std::vector<Part> parts_;
  at::Tensor send_H3nE_;
  at::Tensor o_nHE_;
};

}  // namespace cogvx
