#pragma once

#include "app/resolve.h"
#include "core/pipeline/device_memory_plan.h"
#include "parallel/mesh.h"

namespace cogvx::app {

// Of a run's tensors.
at::Device device_of(const Placement& placement);

// One process's part of a run on the placement's device: its rows and what it exchanges, its tiles,
// and what the first process does alone.
DeviceShare own_share(const Checkpoint& checkpoint, const Request& request,
                      const Placement& placement, const Mesh& mesh);

// What one process of a run needs of the host's memory for one video: for its part of the sequence
// and its tiles, by --plan as by the run itself.
MemoryPlan plan_host_memory(const RunPlan& plan, const Checkpoint& checkpoint, const Mesh& mesh);

}  // namespace cogvx::app
