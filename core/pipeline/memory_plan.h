#pragma once

#include <cstdint>

#include "core/pipeline/request.h"
#include "core/weights/checkpoint.h"

namespace cogvx {

// Highest resident memory of each stage in bytes, from shapes alone. Counted: the program with
// libtorch, the stage's weights in the compute dtype, the tensor being converted,
// and the activations that live at the stage's peak.
struct MemoryPlan {
  int64_t encode_text = 0;
  int64_t encode_video = 0;  // of an image too; 0 without an input
  int64_t denoise = 0;
  int64_t decode = 0;
  bool operator==(const MemoryPlan&) const = default;
};
MemoryPlan plan_memory(const Checkpoint& checkpoint, const Request& request, int threads);
// The same of a process that does only a share of the run.
struct DeviceShare;
MemoryPlan plan_shared_memory(const Checkpoint& checkpoint, const Request& request, int threads,
                              const DeviceShare& share);
// What every further process that shares the run needs at least: activations are shared out, the
// program, the weights and a tile's are not.
MemoryPlan plan_helper_memory(const Checkpoint& checkpoint, const Request& request, int threads);

}  // namespace cogvx
