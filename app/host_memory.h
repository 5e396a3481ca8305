#pragma once

#include "app/resolve.h"
#include "parallel/mesh.h"

namespace cogvx::app {

// What one process of a run needs of the host's memory for one video: for its part of the sequence
// and its tiles, by --plan as by the run itself.
MemoryPlan plan_host_memory(const RunPlan& plan, const Checkpoint& checkpoint, const Mesh& mesh);

}  // namespace cogvx::app
