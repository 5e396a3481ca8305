#pragma once

#include <ATen/core/Tensor.h>

#include <span>
#include <vector>

#include "parallel/shared_sequence.h"

namespace cogvx {

// Shape letters: N joint rows, n own rows, H heads of a group, h heads this rank takes part in, E
// head dim, P ranks, B bytes.

// Shares attention by heads: q, k and v of own rows travel together to whoever computes their
// heads, and the results travel back to the rows' owners. Heads are dealt whole where there is one
// for every rank; a group of fewer heads than ranks has its heads split.
//
// Sent to rank d: [h_d, 3, n, E] of the heads d takes part in (a head split between ranks goes to
// each of them), then back, for each of the sender's runs in order, the rows that d owns. With N
// rows and H heads that P divides evenly, a layer sends 4 N H E (P - 1) / P^2 elements.
class UlyssesExchange final : public SharedSequence {
 public:
  explicit UlyssesExchange(Group& group, SharingOptions options = {})
      : SharedSequence(group, options) {}

  at::Tensor send_buffer(int group) override { return parts_[group].send_H3nE; }
  void begin_to_heads(int group) override;
  at::Tensor finish_to_heads(int group) override;
  std::span<const AttentionRun> runs(int group) const override { return parts_[group].runs; }
  at::Tensor attention_output(int group) override { return parts_[group].out_hNE; }
  void begin_to_rows(int group) override;
  at::Tensor finish_to_rows(int group) override;

 private:
  // One head group's ownership, buffers, and the transfer under way.
  struct Part {
    std::vector<std::vector<AttentionRun>> runs_of;  // per rank, heads counted within the group
    std::vector<HeadGroup> heads_of;                 // per rank, the group's heads in its runs
    std::vector<AttentionRun> runs;                  // own, heads counted within own heads
    Splits to_heads_send;
    Splits to_heads_recv;
    Splits to_rows_send;
    Splits to_rows_recv;
    // In the order in which they are filled, each from the one before; see make_buffers.
    at::Tensor send_H3nE;
    at::Tensor packed_B;  // what leaves: send_H3nE itself unless a head goes to several ranks
    at::Tensor arrived_B;
    at::Tensor qkv_h3NE;
    at::Tensor out_hNE;
    at::Tensor returned_B;  // results on their way back to the rows' owners
    at::Tensor result_B;
    at::Tensor o_nHE;
    Transfer transfer;
  };

  bool under_way() const override;
  void share(std::span<const HeadGroup> groups) override;
  Part make_part(HeadGroup heads) const;
  void make_splits(Part& part) const;
  void make_buffers(Part& part, int64_t heads) const;

  std::vector<Part> parts_;
};

}  // namespace cogvx
