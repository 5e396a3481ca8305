#include "parallel/device_share.h"

#include <c10/core/ScalarType.h>

#include "parallel/ulysses_plan.h"

namespace cogvx {

DeviceShare sequence_share(SequenceMode mode, const SequenceShape& shape, SequencePlace place) {
  DeviceShare share{.rows = deal_rows(shape.rows, place.ranks)[place.rank].size()};
  if (mode == SequenceMode::kUlysses) {
    const UlyssesPlan plan = plan_ulysses(shape, place, head_groups(shape, place.ranks));
    for (const UlyssesGroup& group : plan.groups)
      share.heads += std::ssize(group.runs_of[place.rank]);
    share.exchange_bytes = plan.block_bytes[0] + plan.block_bytes[1];
  } else {
    share.heads = share.rows > 0 ? shape.heads : 0;
    share.exchange_bytes = 4 * shape.rows * shape.heads * shape.head_dim *
                           static_cast<int64_t>(c10::elementSize(shape.dtype));
  }
  return share;
}

}  // namespace cogvx
