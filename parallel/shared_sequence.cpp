#include "parallel/shared_sequence.h"

#include <ATen/ops/empty.h>

#include <stdexcept>
#include <string>

#include "parallel/bytes.h"
#include "parallel/gather_exchange.h"
#include "parallel/ownership.h"
#include "parallel/ulysses_exchange.h"

namespace cogvx {

SharedSequence::SharedSequence(Group& group)
    : attention_(group), gathering_(group), rows_of_(group.size()) {}

void SharedSequence::begin_sequence(const SequenceShape& shape) {
  if (under_way())
    throw std::logic_error(
        "sequence exchange: a new sequence while a transfer of the last is under way");
  if (shape == shape_) return;
  shape_ = shape;
  rows_of_ = deal_rows(shape.rows, ranks());
  share();
}

void SharedSequence::check_begin(const Transfer& last) {
  if (last.pending())
    throw std::logic_error("sequence exchange: a begin without the finish of the one before");
}

at::Tensor SharedSequence::gather_rows(const at::Tensor& x_rC, RowRange range) {
  const int64_t columns = x_rC.size(1);
  const int64_t row_bytes = columns * static_cast<int64_t>(x_rC.element_size());
  if (x_rC.size(0) != intersect(rows(), range).size())
    throw std::logic_error("sequence exchange: rows to gather are " + std::to_string(x_rC.size(0)) +
                           ", wanted " + std::to_string(intersect(rows(), range).size()));
  Splits splits;
  for (const RowRange& owned : rows_of_)
    splits.push_back(intersect(owned, range).size() * row_bytes);
  const at::Tensor all_B = at::empty({range.size() * row_bytes}, x_rC.options().dtype(at::kByte));
  gathering_.all_gather_uneven(as_bytes(x_rC.contiguous()), splits, all_B);
  // The host looks at them next, and what has not come by then would be missed nowhere else.
  gathering_.settle();
  return all_B.view(x_rC.scalar_type()).view({range.size(), columns});
}

std::unique_ptr<SharedSequence> make_shared_sequence(SequenceMode mode, Group& group,
                                                     SharingOptions options) {
  if (mode == SequenceMode::kGather) return std::make_unique<GatherExchange>(group);
  return std::make_unique<UlyssesExchange>(group, options);
}

}  // namespace cogvx
