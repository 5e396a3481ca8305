#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "core/transformer/sequence_exchange.h"
#include "parallel/group.h"

namespace cogvx {

// Shape letters: N joint rows, n own rows, H heads of a group, h heads this rank takes part in, E
// head dim, P ranks, B bytes.

struct UlyssesOptions {
  // Groups of heads that travel one after another; more of them let bytes move while attention is
  // computed. Never more than there are heads. Each group's heads are dealt over all ranks, so a
  // group of fewer heads than ranks has its heads split.
  int64_t head_groups = 1;
  at::Device device = at::kCPU;
};

// Shares one joint sequence [text | video] among the ranks of a group: each owns whole blocks of
// rows, text like video, and some attention units. q, k and v of own rows travel together to
// whoever computes their heads, the results travel back to the rows' owners, and every row of every
// head is there exactly once. It moves bytes and computes nothing; a group of one moves them to
// itself. The group must outlive it.
//
// Sent to rank d: [h_d, 3, n, E] of the heads d takes part in (a head split between ranks goes to
// each of them), then back, for each of the sender's runs in order, the rows that d owns.
class UlyssesExchange final : public SequenceExchange {
 public:
  explicit UlyssesExchange(Group& group, UlyssesOptions options = {});

  void begin_sequence(const SequenceShape& shape) override;
  RowRange rows() const override { return rows_of_[group_.rank()]; }
  std::span<const HeadGroup> head_groups() const override { return head_groups_; }
  at::Tensor send_buffer(int group) override { return parts_[group].send_H3nE; }
  void begin_to_heads(int group) override;
  at::Tensor finish_to_heads(int group) override;
  std::span<const AttentionRun> runs(int group) const override { return parts_[group].runs; }
  at::Tensor attention_output(int group) override { return parts_[group].out_hNE; }
  void begin_to_rows(int group) override;
  at::Tensor finish_to_rows(int group) override;
  at::Tensor gather_rows(const at::Tensor& x_rC, RowRange range) override;

  // Bytes that left this rank for other ranks since construction: through the two all-to-alls of
  // each layer, and through gather_rows. With N rows and H heads that P divides evenly, a layer
  // sends 4 N H E (P - 1) / P^2 elements.
  int64_t bytes_sent() const { return bytes_sent_; }
  int64_t bytes_gathered() const { return bytes_gathered_; }

 private:
  // One head group's ownership, buffers, and the transfer under way.
  struct Part {
    std::vector<std::vector<AttentionRun>> runs_of;  // per rank, heads counted within the group
    std::vector<HeadGroup> heads_of;                 // per rank, the group's heads in its runs
    std::vector<AttentionRun> runs;                  // own, heads counted within own heads
    at::Tensor send_H3nE;
    at::Tensor packed_B;  // what leaves: send_H3nE itself unless a head goes to several ranks
    at::Tensor arrived_B;
    at::Tensor qkv_h3NE;
    at::Tensor out_hNE;
    at::Tensor returned_B;  // results on their way back to the rows' owners
    at::Tensor result_B;
    at::Tensor o_nHE;
    Splits to_heads_send;
    Splits to_heads_recv;
    Splits to_rows_send;
    Splits to_rows_recv;
    Transfer transfer;
  };

  Part make_part(HeadGroup heads) const;
  void make_splits(Part& part) const;
  void make_buffers(Part& part, int64_t heads) const;
  void begin_move(Part& part, const at::Tensor& send, const Splits& send_splits,
                  const at::Tensor& recv, const Splits& recv_splits);

  Group& group_;
  UlyssesOptions options_;
  SequenceShape shape_;
  std::vector<RowRange> rows_of_;
  std::vector<HeadGroup> head_groups_;
  std::vector<Part> parts_;
  int64_t bytes_sent_ = 0;
  int64_t bytes_gathered_ = 0;
};

}  // namespace cogvx
