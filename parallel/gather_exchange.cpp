#include "parallel/gather_exchange.h"

#include <ATen/ops/empty.h>

#include <algorithm>

#include "parallel/bytes.h"

namespace cogvx {

bool GatherExchange::under_way() const {
  return std::any_of(parts_.begin(), parts_.end(), [](const Part& part) {
    return part.to_heads.pending() || part.to_rows.pending();
  });
}

void GatherExchange::share(std::span<const HeadGroup> groups) {
  parts_.clear();
  for (const HeadGroup& heads : groups) {
    Part part;
    for (int64_t head = 0; head < heads.size() && rows().size() > 0; ++head)
      part.runs.push_back({head, rows().begin / kBlockRows, ceil_div(rows().end, kBlockRows)});
    part.qkv_3NHE = at::empty({3, shape().rows, heads.size(), shape().head_dim}, values());
    part.out_NHE = at::empty({shape().rows, heads.size(), shape().head_dim}, values());
    parts_.push_back(std::move(part));
  }
}

at::Tensor GatherExchange::send_buffer(int group) {
  return parts_[group].qkv_3NHE.narrow(1, rows().begin, rows().size()).permute({2, 0, 1, 3});
}

void GatherExchange::gather(const at::Tensor& x_NHE) {
  for (int root = 0; root < ranks(); ++root) {
    const RowRange rows = rows_of()[root];
    attention_group().broadcast(as_bytes(x_NHE.narrow(0, rows.begin, rows.size())), root);
  }
}

// Groups of ranks have no broadcast that is begun and finished later, and an all-to-all would need
// a copy for each rank, so all of it moves in finish.
void GatherExchange::begin_to_heads(int group) {
  Part& part = parts_[group];
  check_begin(part.to_heads);
  part.to_heads = Transfer([this, qkv_3NHE = part.qkv_3NHE] {
    gather(qkv_3NHE[1]);
    gather(qkv_3NHE[2]);
  });
}

at::Tensor GatherExchange::finish_to_heads(int group) {
  parts_[group].to_heads.wait();
  return parts_[group].qkv_3NHE.permute({2, 0, 1, 3});
}

at::Tensor GatherExchange::attention_output(int group) {
  return parts_[group].out_NHE.permute({1, 0, 2});
}

void GatherExchange::begin_to_rows(int group) {
  check_begin(parts_[group].to_rows);
  parts_[group].to_rows = Transfer([] {});
}

at::Tensor GatherExchange::finish_to_rows(int group) {
  parts_[group].to_rows.wait();
  return parts_[group].out_NHE.narrow(0, rows().begin, rows().size()).flatten(1);
}

}  // namespace cogvx
