#include <ATen/ops/empty.h>

#include "core/transformer/sequence_exchange.h"

namespace cogvx {

void IdentityExchange::begin_sequence(const SequenceShape& shape) {
  if (shape == shape_) return;
  shape_ = shape;
  runs_.clear();
  for (int64_t head = 0; head < shape.heads; ++head)
    runs_.push_back({head, 0, ceil_div(shape.rows, kBlockRows)});
  const at::TensorOptions options = at::TensorOptions().dtype(shape.dtype).device(shape.device);
  qkv_H3NE_ = at::empty({shape.heads, 3, shape.rows, shape.head_dim}, options);
  out_NHE_ = at::empty({shape.rows, shape.heads, shape.head_dim}, options);
}

at::Tensor IdentityExchange::send_buffer() { return qkv_H3NE_; }
void IdentityExchange::begin_to_heads() {}
at::Tensor IdentityExchange::finish_to_heads(int) { return qkv_H3NE_; }
std::span<const AttentionRun> IdentityExchange::runs(int) const { return runs_; }
at::Tensor IdentityExchange::attention_output(int) { return out_NHE_.permute({1, 0, 2}); }
void IdentityExchange::begin_to_rows(int) {}
at::Tensor IdentityExchange::finish_to_rows() { return out_NHE_.flatten(1); }
at::Tensor IdentityExchange::gather_rows(const at::Tensor& x_rC, RowRange) { return x_rC; }

}  // namespace cogvx
