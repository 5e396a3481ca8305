#pragma once

#include "core/pipeline/device_memory_plan.h"
#include "parallel/predicted_bytes.h"

namespace cogvx {

// Rows, heads and exchange buffers of a rank among those that share a sequence. The rest of the
// share is the caller's.
DeviceShare sequence_share(SequenceMode mode, const SequenceShape& shape, SequencePlace place);

}  // namespace cogvx
