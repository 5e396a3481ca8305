#pragma once

#include <string>
#include <vector>

#include "app/options.h"
#include "app/resolve.h"
#include "core/base/monitor.h"
#include "core/pipeline/device_memory_plan.h"
#include "parallel/mesh.h"

namespace cogvx::app {

// This process's part of a run on GPUs.
DeviceShare device_share(const Checkpoint& checkpoint, const Request& request,
                         const Placement& placement, const Mesh& mesh);

// What a GPU would hold at most, with the weights of a stage there or those of one layer.
struct OffloadPlans {
  MemoryPlan none;
  MemoryPlan sequential;
};
struct OffloadChoice {
  std::string offload;  // "none" or "sequential"
  MemoryPlan plan;
  std::string notice{};  // empty: nothing to say
};
// What `wanted` (--offload; "model" is "none", as one component lies there at a time) comes to for
// these stages on a GPU with so many bytes free. Throws MemoryError where it does not fit.
OffloadChoice choose_offload(const std::string& wanted, const OffloadPlans& plans,
                             const std::vector<Stage>& stages, int64_t free_bytes);

// Both of this process's GPU for one video.
OffloadPlans offload_plans(const RunPlan& plan, const Checkpoint& checkpoint, const Mesh& mesh);

}  // namespace cogvx::app
