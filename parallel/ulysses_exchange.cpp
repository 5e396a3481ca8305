#include "parallel/ulysses_exchange.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <array>
#include <string>

#include "core/base/errors.h"
#include "parallel/bytes.h"

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

at::Tensor narrow_rows(const at::Tensor& x_NE, RowRange rows, int64_t first_row = 0) {
  return x_NE.narrow(0, rows.size() == 0 ? 0 : rows.begin - first_row, rows.size());
}

}  // namespace

UlyssesExchange::UlyssesExchange(Group& group, SharingOptions options)
    : SharedSequence(group), head_groups_(options.head_groups) {
  if (head_groups_.value_or(1) < 1)
    throw UsageError("sequence exchange: head groups are " + std::to_string(*head_groups_) +
                     ", wanted 1 or more");
}

bool UlyssesExchange::under_way() const {
  return std::ranges::any_of(parts_, [](const Part& part) { return part.transfer.pending(); });
}

void UlyssesExchange::share() {
  parts_.clear();
  send_H3nE_ = o_nHE_ = at::Tensor();
  plan_ = plan_ulysses(shape(), {rank(), ranks()},
                       head_groups_.value_or(cogvx::head_groups(shape(), ranks())));
  const at::TensorOptions bytes = values().dtype(at::kByte);
  const std::array<at::Tensor, 2> blocks = {at::empty({plan_.block_bytes[0]}, bytes),
                                            at::empty({plan_.block_bytes[1]}, bytes)};
  const int64_t width = shape().head_dim, own = rows().size();
  for (const UlyssesGroup& group : plan_.groups) {
    const auto piece_B = [&](UlyssesStage stage) {
      const BlockPiece& piece = group.pieces[static_cast<size_t>(stage)];
      return blocks[piece.block].narrow(0, piece.begin, piece.bytes);
    };
    const auto piece = [&](UlyssesStage stage, at::IntArrayRef sizes) {
      return piece_B(stage).view(shape().dtype).view(sizes);
    };
    send_H3nE_ = piece(UlyssesStage::kSend, {shape().heads, 3, own, width});
    o_nHE_ = piece(UlyssesStage::kOwn, {own, shape().heads, width});
    Part part;
    part.runs = group.runs_of[rank()];
    for (size_t i = 0; i < part.runs.size(); ++i) part.runs[i].head = static_cast<int64_t>(i);
    const auto heads = std::ssize(part.runs);
    part.packed_B = piece_B(UlyssesStage::kPacked);
    part.arrived_B = piece_B(UlyssesStage::kArrived);
    part.qkv_h3NE = piece(UlyssesStage::kQkv, {heads, 3, shape().rows, width});
    part.out_hNE = piece(UlyssesStage::kOut, {heads, shape().rows, width});
    part.returned_B = piece_B(UlyssesStage::kReturned);
    part.result_B = piece_B(UlyssesStage::kResult);
    parts_.push_back(std::move(part));
  }
}

void UlyssesExchange::pack(int group) {
  const int64_t width = shape().head_dim;
  Pieces packed(parts_[group].packed_B, shape().dtype);
  for (const std::vector<AttentionRun>& runs : plan_.groups[group].runs_of) {
    for (const AttentionRun& run : runs) {
      const at::Tensor head_3nE = send_H3nE_[run.head];
      const RowRange queries = common_rows(run, rows());
      packed.next({queries.size(), width})
          .copy_(narrow_rows(head_3nE[0], queries, /*first_row=*/rows().begin));
      packed.next({2, rows().size(), width}).copy_(head_3nE.narrow(0, 1, 2));
    }
  }
}

void UlyssesExchange::begin_to_heads() {
  for (const Part& part : parts_) check_begin(part.transfer);
  // What arrives lies where the send buffer was.
  for (int g = 0; plan_.packs && g < head_groups(); ++g) pack(g);
  for (int g = 0; g < head_groups(); ++g) {
    const UlyssesGroup& group = plan_.groups[g];
    parts_[g].transfer = attention_group().begin_all_to_all(
        parts_[g].packed_B, group.to_heads_send, parts_[g].arrived_B, group.to_heads_recv);
  }
}

at::Tensor UlyssesExchange::finish_to_heads(int group) {
  const int64_t width = shape().head_dim;
  Part& part = parts_[group];
  part.transfer.wait();
  Pieces arrived(part.arrived_B, shape().dtype);
  for (const RowRange& from : rows_of()) {
    if (plan_.whole_heads) {
      part.qkv_h3NE.narrow(2, from.begin, from.size())
          .copy_(arrived.next({part.qkv_h3NE.size(0), 3, from.size(), width}));
      continue;
    }
    for (const AttentionRun& run : part.runs) {
      const at::Tensor head_3NE = part.qkv_h3NE[run.head];
      const RowRange queries = common_rows(run, from);
      narrow_rows(head_3NE[0], queries).copy_(arrived.next({queries.size(), width}));
      head_3NE.narrow(0, 1, 2)
          .narrow(1, from.begin, from.size())
          .copy_(arrived.next({2, from.size(), width}));
    }
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
      returned.next({rows.size(), shape().head_dim})
          .copy_(narrow_rows(part.out_hNE[run.head], rows));
    }
  }
  const UlyssesGroup& plan = plan_.groups[group];
  part.transfer = attention_group().begin_all_to_all(part.returned_B, plan.to_rows_send,
                                                     part.result_B, plan.to_rows_recv);
}

at::Tensor UlyssesExchange::finish_to_rows() {
  for (Part& part : parts_) part.transfer.wait();
  for (int g = 0; g < head_groups(); ++g) {
    Pieces result(parts_[g].result_B, shape().dtype);
    for (const std::vector<AttentionRun>& runs : plan_.groups[g].runs_of) {
      for (const AttentionRun& run : runs) {
        const RowRange common = common_rows(run, rows());
        narrow_rows(o_nHE_.select(1, run.head), common, /*first_row=*/rows().begin)
            .copy_(result.next({common.size(), shape().head_dim}));
      }
    }
  }
  return o_nHE_.flatten(1);
}

}  // namespace cogvx
