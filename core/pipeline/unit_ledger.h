#pragma once

#include <cstdint>

#include "core/pipeline/request.h"
#include "core/transformer/sequence_exchange.h"

namespace cogvx {

// How many units of each kind ran. Over all owners of a run the sums are all_units.
struct UnitLedger {
  int64_t prompts = 0;
  int64_t row_blocks = 0;       // of one transformer layer
  int64_t attention_tiles = 0;  // (head, 64 queries) of one layer
  int64_t vae_tiles = 0;        // encoded and decoded

  // One transformer layer as the exchange dealt it.
  void count_layer(SequenceExchange& exchange);
  UnitLedger& operator+=(const UnitLedger& other);
  bool operator==(const UnitLedger&) const = default;
};

// Of a run that begins at `first_step` of `steps`; without steps it only decodes.
struct RunExtent {
  int64_t prompts = 0;
  int64_t first_step = 0;
  int64_t steps = 0;
  int64_t videos = 0;  // images and videos to encode
};
UnitLedger all_units(const Request& request, const Checkpoint& checkpoint, const RunExtent& run);

}  // namespace cogvx
