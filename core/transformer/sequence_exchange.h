#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "core/base/shapes.h"
#include "core/ops/ops.h"

namespace cogvx {

struct SequenceShape {
  int64_t rows = 0;   // N, the whole joint sequence
  int64_t heads = 0;  // H
  int64_t head_dim = 0;
  at::ScalarType dtype = at::kFloat;
  at::Device device = at::kCPU;  // where q, k, v and the results lie
  bool operator==(const SequenceShape&) const = default;
};

// The transformer's one seam to whoever shares the joint sequence with it: which rows are ours, and
// how q, k, v get from rows to attention units and the result back. It only moves bytes. Small
// letters: n own rows, h heads of a group that arrive here.
class SequenceExchange {
 public:
  virtual ~SequenceExchange() = default;

  // Called once before each forward pass; the same shape again costs nothing, an empty one lets go
  // of what the last needed.
  virtual void begin_sequence(const SequenceShape& shape) = 0;
  // Own rows: whole blocks of 64 (the last block of the sequence may be short); empty is legal.
  virtual RowRange rows() const = 0;
  // Heads travel in groups, so that one group's bytes may move while another is computed.
  virtual int head_groups() const = 0;

  // Rows to heads. The caller fills the send buffer = q, k, v of own rows, as qkv_H3nE; begin lets
  // all groups go; finish waits for the heads of one that arrive here, as qkv_h3NE: k and v of all
  // rows, q of the runs' rows (what lies in its other rows is no number of anybody's).
  virtual at::Tensor send_buffer() = 0;
  virtual void begin_to_heads() = 0;
  virtual at::Tensor finish_to_heads(int group) = 0;
  // The attention units to be computed here, heads counted within finish_to_heads's h.
  virtual std::span<const AttentionRun> runs(int group) const = 0;

  // Heads to rows. The caller fills the runs' rows of attention_output(g), out_hNE; finish waits
  // for all groups and gives own rows of all heads side by side, o_nD (any row stride), there until
  // the send buffer is filled again.
  virtual at::Tensor attention_output(int group) = 0;
  virtual void begin_to_rows(int group) = 0;
  virtual at::Tensor finish_to_rows() = 0;

  // own rows of `range`, x_rC -> all rows of the range in order, on everyone.
  virtual at::Tensor gather_rows(const at::Tensor& x_rC, RowRange range) = 0;
};

// Everything is here already: one owner, one group, no copy of q, k or v.
class IdentityExchange final : public SequenceExchange {
 public:
  void begin_sequence(const SequenceShape& shape) override;
  RowRange rows() const override { return {0, shape_.rows}; }
  int head_groups() const override { return 1; }
  at::Tensor send_buffer() override;
  void begin_to_heads() override;
  at::Tensor finish_to_heads(int group) override;
  std::span<const AttentionRun> runs(int group) const override;
  at::Tensor attention_output(int group) override;
  void begin_to_rows(int group) override;
  at::Tensor finish_to_rows() override;
  at::Tensor gather_rows(const at::Tensor& x_rC, RowRange range) override;

 private:
  SequenceShape shape_;
  std::vector<AttentionRun> runs_;
  at::Tensor qkv_H3NE_;
  at::Tensor out_NHE_;
};

}  // namespace cogvx
