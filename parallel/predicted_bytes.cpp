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

// Vectors of head_dim elements: for each run of every other rank q of its rows and k and v of own
// rows, then the results of own units that belong to others' rows.
int64_t ulysses_vectors(const SequenceShape& shape, SequencePlace place) {
  const auto runs_of = attention_runs(shape, place.ranks);
  const RowRange own = own_rows(shape, place);
  int64_t vectors = 0;
  for (int other = 0; other < place.ranks; ++other) {
    if (other == place.rank) continue;
    vectors += common_rows(runs_of[other], own) + 2 * own.size() * std::ssize(runs_of[other]) +
               common_rows(runs_of[place.rank], own_rows(shape, {other, place.ranks}));
  }
  return vectors;
}

}  // namespace

int64_t predicted_layer_bytes(SequenceMode mode, const SequenceShape& shape, SequencePlace place) {
  const int64_t vectors = mode == SequenceMode::kUlysses
                              ? ulysses_vectors(shape, place)
                              : 2 * own_rows(shape, place).size() * shape.heads * (place.ranks - 1);
  return vectors * shape.head_dim * element_bytes(shape);
}

int64_t split_head_bytes(SequenceMode mode, const SequenceShape& shape, SequencePlace place) {
  if (mode != SequenceMode::kUlysses) return 0;
  int64_t further_owners = 0;
  const auto runs_of = attention_runs(shape, place.ranks);
  for (int other = 0; other < place.ranks; ++other) {
    if (other == place.rank) continue;
    for (const AttentionRun& run : runs_of[other]) further_owners += run.tile_begin > 0 ? 1 : 0;
  }
  return 2 * own_rows(shape, place).size() * further_owners * shape.head_dim * element_bytes(shape);
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
