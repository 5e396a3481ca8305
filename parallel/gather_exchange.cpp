#include "parallel/gather_exchange.h"

#include <ATen/ops/empty.h>

#include "parallel/bytes.h"

namespace cogvx {

bool GatherExchange::under_way() const { return to_heads_.pending() || to_rows_.pending(); }

void GatherExchange::share() {
  runs_.clear();
  for (int64_t head = 0; head < shape().heads && rows().size() > 0; ++head)
    runs_.push_back({head, rows().begin / kBlockRows, ceil_div(rows().end, kBlockRows)});
  qkv_3NHE_ = out_NHE_ = at::Tensor();
  qkv_3NHE_ = at::empty({3, shape().rows, shape().heads, shape().head_dim}, values());
  out_NHE_ = at::empty({shape().rows, shape().heads, shape().head_dim}, values());
}

at::Tensor GatherExchange::send_buffer() {
  return qkv_3NHE_.narrow(1, rows().begin, rows().size()).permute({2, 0, 1, 3});
}

void GatherExchange::gather(const at::Tensor& x_NHE) {
  for (int root = 0; root < ranks(); ++root) {
    const RowRange rows = rows_of()[root];
    attention_group().broadcast(as_bytes(x_NHE.narrow(0, rows.begin, rows.size())), root);
  }
}

void GatherExchange::begin_to_heads() {
  check_begin(to_heads_);
  to_heads_ = Transfer([this] {
    gather(qkv_3NHE_[1]);
    gather(qkv_3NHE_[2]);
  });
}

at::Tensor GatherExchange::finish_to_heads(int) {
  to_heads_.wait();
  return qkv_3NHE_.permute({2, 0, 1, 3});
}

at::Tensor GatherExchange::attention_output(int) { return out_NHE_.permute({1, 0, 2}); }

void GatherExchange::begin_to_rows(int) {
  check_begin(to_rows_);
  to_rows_ = Transfer([] {});
}

at::Tensor GatherExchange::finish_to_rows() {
  to_rows_.wait();
  return out_NHE_.narrow(0, rows().begin, rows().size()).flatten(1);
}

}  // namespace cogvx
