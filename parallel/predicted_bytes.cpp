#include "parallel/predicted_bytes.h"

#include <c10/core/ScalarType.h>

#include "parallel/ownership.h"

namespace cogvx {
namespace {

int64_t element_bytes(const SequenceShape& shape) {
  return static_cast<int64_t>(c10::elementSize(shape.dtype));
}

RowRange own_rows(const SequenceShape& shape, SequencePlace place) {
  return deal_rows(shape.rows, place.ranks)[place.rank];
}

// Vectors of head_dim elements: q, k, v of own rows for each head of every other rank, then the
// results of own units that belong to others' rows.
int64_t ulysses_vectors(const SequenceShape& shape, SequencePlace place) {
  const auto units = deal_units(shape.heads, ceil_div(shape.rows, kBlockRows), place.ranks,
                                head_split(shape.device));
  int64_t heads_of_others = 0;
  for (int other = 0; other < place.ranks; ++other) {
    if (other == place.rank || units[other].empty()) continue;
    heads_of_others += units[other].back().head - units[other].front().head + 1;
  }
  const RowRange own = own_rows(shape, place);
  const auto& runs = units[place.rank];
  return 3 * own.size() * heads_of_others + common_rows(runs, {0, shape.rows}) -
         common_rows(runs, own);
}

}  // namespace

int64_t predicted_layer_bytes(SequenceMode mode, const SequenceShape& shape, SequencePlace place) {
  const int64_t vectors = mode == SequenceMode::kUlysses
                              ? ulysses_vectors(shape, place)
                              : 2 * own_rows(shape, place).size() * shape.heads * (place.ranks - 1);
  return vectors * shape.head_dim * element_bytes(shape);
}

double even_layer_bytes(SequenceMode mode, const SequenceShape& shape, int ranks) {
  const double whole =
      static_cast<double>(shape.rows * shape.heads * shape.head_dim * element_bytes(shape));
  const double others = static_cast<double>(ranks - 1) / ranks;
  return mode == SequenceMode::kUlysses ? 4 * whole * others / ranks : 2 * whole * others;
}

int64_t predicted_gather_bytes(const SequenceShape& shape, SequencePlace place, RowRange range,
                               int64_t row_bytes) {
  return intersect(own_rows(shape, place), range).size() * row_bytes * (place.ranks - 1);
}

}  // namespace cogvx
