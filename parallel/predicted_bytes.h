#pragma once

#include <cstdint>

#include "core/transformer/sequence_exchange.h"
#include "parallel/ownership.h"
#include "parallel/shared_sequence.h"

// What a rank gives to others, in bytes, from the shapes alone, in however many groups its heads
// travel. Every function is pure.
namespace cogvx {

// One layer's attention, exactly, however unevenly rows and heads are dealt.
int64_t predicted_layer_bytes(SequenceMode mode, const SequenceShape& shape, SequencePlace place);
// Of those, k and v for the second and further owners of split heads.
int64_t split_head_bytes(SequenceMode mode, const SequenceShape& shape, SequencePlace place);
// The formula for rows and heads that the ranks divide evenly: 4 N D (P - 1) / P^2 elements with
// kUlysses, 2 N D (P - 1) / P with kGather.
double even_layer_bytes(SequenceMode mode, const SequenceShape& shape, int ranks);
// gather_rows of `range` with rows of row_bytes, exactly.
int64_t predicted_gather_bytes(const SequenceShape& shape, SequencePlace place, RowRange range,
                               int64_t row_bytes);

}  // namespace cogvx
