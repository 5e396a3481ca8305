#include "parallel/device_share.h"

#include <c10/core/ScalarType.h>

#include <algorithm>

#include "parallel/ownership.h"

namespace cogvx {
namespace {

// Of every rank.
std::vector<int64_t> heads_of_ranks(const SequenceShape& shape, int ranks) {
  std::vector<int64_t> heads;
  for (const auto& runs :
       deal_units(shape.heads, ceil_div(shape.rows, kBlockRows), ranks, head_split(shape.device)))
    heads.push_back(runs.empty() ? 0 : runs.back().head - runs.front().head + 1);
  return heads;
}

// Vectors of head_dim elements in the two blocks whose turns UlyssesExchange takes. What is sent is
// packed first where two ranks want parts of one head.
int64_t ulysses_vectors(const SequenceShape& shape, int64_t own_rows,
                        const std::vector<int64_t>& heads_of, int rank) {
  int64_t wanted = 0;
  for (const int64_t heads : heads_of) wanted += heads;
  const int64_t sent = 3 * own_rows * shape.heads;
  const int64_t packed = 3 * own_rows * wanted;
  const int64_t arrived = 3 * shape.rows * heads_of[rank];
  return packed == sent ? std::max(sent, arrived) + std::max(arrived, sent / 3)
                        : std::max(sent, arrived) + std::max(packed, arrived);
}

}  // namespace

DeviceShare sequence_share(SequenceMode mode, const SequenceShape& shape, SequencePlace place) {
  const int64_t rows = deal_rows(shape.rows, place.ranks)[place.rank].size();
  const std::vector<int64_t> heads_of = heads_of_ranks(shape, place.ranks);
  const bool ulysses = mode == SequenceMode::kUlysses;
  const int64_t vectors =
      ulysses ? ulysses_vectors(shape, rows, heads_of, place.rank) : 4 * shape.rows * shape.heads;
  return {.rows = rows,
          .heads = ulysses    ? heads_of[place.rank]
                   : rows > 0 ? shape.heads
                              : 0,
          .exchange_bytes =
              vectors * shape.head_dim * static_cast<int64_t>(c10::elementSize(shape.dtype))};
}

}  // namespace cogvx
