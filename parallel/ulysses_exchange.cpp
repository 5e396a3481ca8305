#include "parallel/ulysses_exchange.h"

#include <ATen/ops/empty.h>
#include <c10/core/ScalarType.h>

#include <algorithm>
#include <array>

#include "parallel/bytes.h"
#include "parallel/ownership.h"

namespace cogvx {
namespace {

// Hands out a buffer of bytes in pieces, first to last.
class Pieces {
 public:
  Pieces(const at::Tensor& buffer_B, at::ScalarType dtype) : rest_(buffer_B), dtype_(dtype) {}
  at::Tensor next(at::IntArrayRef shape) {
    const int64_t bytes = byte_count(shape, dtype_);
    const at::Tensor piece = rest_.narrow(0, 0, bytes);
    rest_ = rest_.narrow(0, bytes, rest_.numel() - bytes);
    return piece.view(dtype_).view(shape);
  }

 private:
  at::Tensor rest_;
  at::ScalarType dtype_;
};

}  // namespace

bool UlyssesExchange::under_way() const {
  return std::any_of(parts_.begin(), parts_.end(),
                     [](const Part& part) { return part.transfer.pending(); });
}

void UlyssesExchange::share(std::span<const HeadGroup> groups) {
  parts_.clear();
  for (const HeadGroup& heads : groups) parts_.push_back(make_part(heads));
}

UlyssesExchange::Part UlyssesExchange::make_part(HeadGroup heads) const {
  Part part;
  part.runs_of = deal_units(heads.size(), ceil_div(shape().rows, kBlockRows), ranks(),
                            head_split(shape().device));
  for (const std::vector<AttentionRun>& runs : part.runs_of)
    part.heads_of.push_back(runs.empty() ? HeadGroup{}
                                         : HeadGroup{runs.front().head, runs.back().head + 1});
  for (AttentionRun run : part.runs_of[rank()]) {
    run.head -= part.heads_of[rank()].begin;
    part.runs.push_back(run);
  }
  make_splits(part);
  make_buffers(part, heads.size());
  return part;
}

void UlyssesExchange::make_splits(Part& part) const {
  const int self = rank();
  const int64_t row_bytes =
      shape().head_dim * static_cast<int64_t>(c10::elementSize(shape().dtype));
  for (int peer = 0; peer < ranks(); ++peer) {
    const auto qkv_bytes = [&](int from, int to) {
      return part.heads_of[to].size() * 3 * rows_of()[from].size() * row_bytes;
    };
    const auto result_bytes = [&](int from, int to) {
      return common_rows(part.runs_of[from], rows_of()[to]) * row_bytes;
    };
    part.to_heads_send.push_back(qkv_bytes(self, peer));
    part.to_heads_recv.push_back(qkv_bytes(peer, self));
    part.to_rows_send.push_back(result_bytes(self, peer));
    part.to_rows_recv.push_back(result_bytes(peer, self));
  }
}

// Every buffer is read only while the next one is filled, so two blocks of memory are enough: the
// buffers take turns in them.
void UlyssesExchange::make_buffers(Part& part, int64_t heads) const {
  const int64_t width = shape().head_dim;
  const int64_t own_rows = rows().size();
  const int64_t own_heads = part.heads_of[rank()].size();
  struct Buffer {
    at::Tensor Part::*tensor;
    at::ScalarType dtype;
    std::vector<int64_t> sizes;
  };
  std::vector<Buffer> buffers = {
      {&Part::send_H3nE, shape().dtype, {heads, 3, own_rows, width}},
      {&Part::packed_B, at::kByte, {total(part.to_heads_send)}},
      {&Part::arrived_B, at::kByte, {total(part.to_heads_recv)}},
      {&Part::qkv_h3NE, shape().dtype, {own_heads, 3, shape().rows, width}},
      {&Part::out_hNE, shape().dtype, {own_heads, shape().rows, width}},
      {&Part::returned_B, at::kByte, {total(part.to_rows_send)}},
      {&Part::result_B, at::kByte, {total(part.to_rows_recv)}},
      {&Part::o_nHE, shape().dtype, {own_rows, heads, width}}};
  // Whole heads lie in the send buffer in the order of their owners already.
  const bool packs = total(part.to_heads_send) != byte_count(buffers[0].sizes, shape().dtype);
  if (!packs) buffers.erase(buffers.begin() + 1);

  std::array<int64_t, 2> sizes{};
  for (size_t i = 0; i < buffers.size(); ++i)
    sizes[i % 2] = std::max(sizes[i % 2], byte_count(buffers[i].sizes, buffers[i].dtype));
  const at::TensorOptions bytes = values().dtype(at::kByte);
  const std::array<at::Tensor, 2> blocks = {at::empty({sizes[0]}, bytes),
                                            at::empty({sizes[1]}, bytes)};
  for (size_t i = 0; i < buffers.size(); ++i)
    part.*buffers[i].tensor = Pieces(blocks[i % 2], buffers[i].dtype).next(buffers[i].sizes);
  if (!packs) part.packed_B = as_bytes(part.send_H3nE);
}

void UlyssesExchange::begin_to_heads(int group) {
  Part& part = parts_[group];
  check_begin(part.transfer);
  if (part.packed_B.data_ptr() != part.send_H3nE.data_ptr()) {
    Pieces packed(part.packed_B, shape().dtype);
    for (const HeadGroup& heads : part.heads_of) {
      packed.next({heads.size(), 3, rows().size(), shape().head_dim})
          .copy_(part.send_H3nE.narrow(0, heads.begin, heads.size()));
    }
  }
  part.transfer = attention_group().begin_all_to_all(part.packed_B, part.to_heads_send,
                                                     part.arrived_B, part.to_heads_recv);
}

at::Tensor UlyssesExchange::finish_to_heads(int group) {
  Part& part = parts_[group];
  part.transfer.wait();
  Pieces arrived(part.arrived_B, shape().dtype);
  for (const RowRange& from : rows_of()) {
    part.qkv_h3NE.narrow(2, from.begin, from.size())
        .copy_(arrived.next({part.qkv_h3NE.size(0), 3, from.size(), shape().head_dim}));
  }
  return part.qkv_h3NE;
}

void UlyssesExchange::begin_to_rows(int group) {
  Part& part = parts_[group];
  check_begin(part.transfer);
  Pieces returned(part.returned_B, shape().dtype);
  for (const RowRange& to : rows_of()) {
    for (const AttentionRun& run : part.runs) {
      const RowRange rows = common_rows(run, to);
      if (rows.size() == 0) continue;
      returned.next({rows.size(), shape().head_dim})
          .copy_(part.out_hNE.select(0, run.head).narrow(0, rows.begin, rows.size()));
    }
  }
  part.transfer = attention_group().begin_all_to_all(part.returned_B, part.to_rows_send,
                                                     part.result_B, part.to_rows_recv);
}

at::Tensor UlyssesExchange::finish_to_rows(int group) {
  Part& part = parts_[group];
  part.transfer.wait();
  Pieces result(part.result_B, shape().dtype);
  for (const std::vector<AttentionRun>& runs : part.runs_of) {
    for (const AttentionRun& run : runs) {
      const RowRange common = common_rows(run, rows());
      if (common.size() == 0) continue;
      part.o_nHE.select(1, run.head)
          .narrow(0, common.begin - rows().begin, common.size())
          .copy_(result.next({common.size(), shape().head_dim}));
    }
  }
  return part.o_nHE.flatten(1);
}

}  // namespace cogvx
