#include "parallel/ulysses_exchange.h"

#include <ATen/ops/empty.h>
#include <c10/core/ScalarType.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <string>

#include "core/base/errors.h"
#include "parallel/ownership.h"

namespace cogvx {
namespace {

int64_t total(const Splits& splits) {
  return std::accumulate(splits.begin(), splits.end(), int64_t{0});
}

at::Tensor as_bytes(const at::Tensor& tensor) { return tensor.flatten().view(at::kByte); }

// Hands out a buffer of bytes in pieces, first to last.
class Pieces {
 public:
  Pieces(const at::Tensor& buffer_B, at::ScalarType dtype) : rest_(buffer_B), dtype_(dtype) {}
  at::Tensor next(at::IntArrayRef shape) {
    int64_t bytes = static_cast<int64_t>(c10::elementSize(dtype_));
    for (int64_t size : shape) bytes *= size;
    const at::Tensor piece = rest_.narrow(0, 0, bytes);
    rest_ = rest_.narrow(0, bytes, rest_.numel() - bytes);
    return piece.view(dtype_).view(shape);
  }

 private:
  at::Tensor rest_;
  at::ScalarType dtype_;
};

// The rows that a run of query tiles and a row owner have in common.
RowRange common_rows(const AttentionRun& run, RowRange owned) {
  return intersect({run.tile_begin * kBlockRows, run.tile_end * kBlockRows}, owned);
}

int64_t common_rows(const std::vector<AttentionRun>& runs, RowRange owned) {
  int64_t rows = 0;
  for (const AttentionRun& run : runs) rows += common_rows(run, owned).size();
  return rows;
}

}  // namespace

UlyssesExchange::UlyssesExchange(Group& group, UlyssesOptions options)
    : group_(group), options_(options), rows_of_(group.size()) {
  if (options.head_groups < 1)
    throw UsageError("sequence exchange: head groups are " + std::to_string(options.head_groups) +
                     ", wanted 1 or more");
}

void UlyssesExchange::begin_sequence(const SequenceShape& shape) {
  for (const Part& part : parts_) {
    if (part.transfer.pending())
      throw std::logic_error(
          "sequence exchange: a new sequence while a transfer of the last is under way");
  }
  if (shape == shape_) return;
  shape_ = shape;
  rows_of_ = deal_rows(shape.rows, group_.size());
  head_groups_.clear();
  parts_.clear();  // the old buffers go before the new ones come
  const int64_t count = std::min(options_.head_groups, shape.heads);
  for (int64_t g = 0; g < count; ++g) {
    head_groups_.push_back({g * shape.heads / count, (g + 1) * shape.heads / count});
    parts_.push_back(make_part(head_groups_.back()));
  }
}

UlyssesExchange::Part UlyssesExchange::make_part(HeadGroup heads) const {
  Part part;
  part.runs_of = deal_units(heads.size(), ceil_div(shape_.rows, kBlockRows), group_.size());
  for (const std::vector<AttentionRun>& runs : part.runs_of)
    part.heads_of.push_back(runs.empty() ? HeadGroup{}
                                         : HeadGroup{runs.front().head, runs.back().head + 1});
  for (AttentionRun run : part.runs_of[group_.rank()]) {
    run.head -= part.heads_of[group_.rank()].begin;
    part.runs.push_back(run);
  }
  make_splits(part);
  make_buffers(part, heads.size());
  return part;
}

void UlyssesExchange::make_splits(Part& part) const {
  const int self = group_.rank();
  const int64_t row_bytes = shape_.head_dim * static_cast<int64_t>(c10::elementSize(shape_.dtype));
  for (int peer = 0; peer < group_.size(); ++peer) {
    const auto qkv_bytes = [&](int from, int to) {
      return part.heads_of[to].size() * 3 * rows_of_[from].size() * row_bytes;
    };
    const auto result_bytes = [&](int from, int to) {
      return common_rows(part.runs_of[from], rows_of_[to]) * row_bytes;
    };
    part.to_heads_send.push_back(qkv_bytes(self, peer));
    part.to_heads_recv.push_back(qkv_bytes(peer, self));
    part.to_rows_send.push_back(result_bytes(self, peer));
    part.to_rows_recv.push_back(result_bytes(peer, self));
  }
}

void UlyssesExchange::make_buffers(Part& part, int64_t heads) const {
  const at::TensorOptions values = at::TensorOptions().dtype(shape_.dtype).device(options_.device);
  const at::TensorOptions bytes = values.dtype(at::kByte);
  const int64_t width = shape_.head_dim;
  const int64_t own_heads = part.heads_of[group_.rank()].size();
  part.send_H3nE = at::empty({heads, 3, rows().size(), width}, values);
  // Whole heads lie in the send buffer in the order of their owners already.
  const int64_t packed_bytes = total(part.to_heads_send);
  part.packed_B = as_bytes(part.send_H3nE);
  if (packed_bytes != part.packed_B.numel()) part.packed_B = at::empty({packed_bytes}, bytes);
  part.arrived_B = at::empty({total(part.to_heads_recv)}, bytes);
  part.qkv_h3NE = at::empty({own_heads, 3, shape_.rows, width}, values);
  part.out_hNE = at::empty({own_heads, shape_.rows, width}, values);
  part.returned_B = at::empty({total(part.to_rows_send)}, bytes);
  part.result_B = at::empty({total(part.to_rows_recv)}, bytes);
  part.o_nHE = at::empty({rows().size(), heads, width}, values);
}

void UlyssesExchange::begin_move(Part& part, const at::Tensor& send, const Splits& send_splits,
                                 const at::Tensor& recv, const Splits& recv_splits) {
  if (part.transfer.pending())
    throw std::logic_error("sequence exchange: a begin without the finish of the one before");
  part.transfer = group_.begin_all_to_all(send, send_splits, recv, recv_splits);
  bytes_sent_ += total(send_splits) - send_splits[group_.rank()];
}

void UlyssesExchange::begin_to_heads(int group) {
  Part& part = parts_[group];
  if (part.packed_B.data_ptr() != part.send_H3nE.data_ptr()) {
    Pieces packed(part.packed_B, shape_.dtype);
    for (const HeadGroup& heads : part.heads_of) {
      packed.next({heads.size(), 3, rows().size(), shape_.head_dim})
          .copy_(part.send_H3nE.narrow(0, heads.begin, heads.size()));
    }
  }
  begin_move(part, part.packed_B, part.to_heads_send, part.arrived_B, part.to_heads_recv);
}

at::Tensor UlyssesExchange::finish_to_heads(int group) {
  Part& part = parts_[group];
  part.transfer.wait();
  Pieces arrived(part.arrived_B, shape_.dtype);
  for (const RowRange& from : rows_of_) {
    part.qkv_h3NE.narrow(2, from.begin, from.size())
        .copy_(arrived.next({part.qkv_h3NE.size(0), 3, from.size(), shape_.head_dim}));
  }
  return part.qkv_h3NE;
}

void UlyssesExchange::begin_to_rows(int group) {
  Part& part = parts_[group];
  Pieces returned(part.returned_B, shape_.dtype);
  for (const RowRange& to : rows_of_) {
    for (const AttentionRun& run : part.runs) {
      const RowRange rows = common_rows(run, to);
      if (rows.size() == 0) continue;
      returned.next({rows.size(), shape_.head_dim})
          .copy_(part.out_hNE.select(0, run.head).narrow(0, rows.begin, rows.size()));
    }
  }
  begin_move(part, part.returned_B, part.to_rows_send, part.result_B, part.to_rows_recv);
}

at::Tensor UlyssesExchange::finish_to_rows(int group) {
  Part& part = parts_[group];
  part.transfer.wait();
  Pieces result(part.result_B, shape_.dtype);
  for (const std::vector<AttentionRun>& runs : part.runs_of) {
    for (const AttentionRun& run : runs) {
      const RowRange common = common_rows(run, rows());
      if (common.size() == 0) continue;
      part.o_nHE.select(1, run.head)
          .narrow(0, common.begin - rows().begin, common.size())
          .copy_(result.next({common.size(), shape_.head_dim}));
    }
  }
  return part.o_nHE.flatten(1);
}

at::Tensor UlyssesExchange::gather_rows(const at::Tensor& x_rC, RowRange range) {
  const int64_t columns = x_rC.size(1);
  const int64_t row_bytes = columns * static_cast<int64_t>(x_rC.element_size());
  if (x_rC.size(0) != intersect(rows(), range).size())
    throw std::logic_error("sequence exchange: rows to gather are " + std::to_string(x_rC.size(0)) +
                           ", wanted " + std::to_string(intersect(rows(), range).size()));
  Splits splits;
  for (const RowRange& owned : rows_of_)
    splits.push_back(intersect(owned, range).size() * row_bytes);
  const at::Tensor all_B = at::empty({range.size() * row_bytes}, x_rC.options().dtype(at::kByte));
  group_.all_gather_uneven(as_bytes(x_rC.contiguous()), splits, all_B);
  bytes_gathered_ += splits[group_.rank()] * (group_.size() - 1);
  return all_B.view(x_rC.scalar_type()).view({range.size(), columns});
}

}  // namespace cogvx
