#include "app/device_memory.h"

#include <algorithm>

#include "app/host_memory.h"
#include "app/memory_check.h"

namespace cogvx::app {
namespace {

// What CudaOps holds from its start for matrix products, and on how many streams it attends.
constexpr int64_t kHeldBytes = 32 << 20;
constexpr int64_t kAttentionStreams = 4;
// Left to libraries' code and tables, the allocator's gaps and NCCL where `auto` keeps weights on
// the GPU: so much, and a twentieth of the plan.
constexpr int64_t kMarginBytes = 1 << 30;
constexpr int64_t kMarginDivisor = 20;

// The stage that needs most.
struct Peak {
  Stage stage = Stage::kDenoise;
  int64_t bytes = 0;
};
Peak peak_of(const MemoryPlan& plan, const std::vector<Stage>& stages) {
  Peak peak;
  for (const Stage stage : stages) {
    const int64_t bytes = predicted_bytes(plan, stage);
    if (bytes > peak.bytes) peak = {stage, bytes};
  }
  return peak;
}

std::string need_text(const Peak& peak, const std::string& offload) {
  return std::string(stage_name(peak.stage)) + " needs about " + gigabytes(peak.bytes) +
         " of the GPU's memory with --offload " + offload;
}

}  // namespace

DeviceShare device_share(const Checkpoint& checkpoint, const Request& request,
                         const Placement& placement, const Mesh& mesh) {
  DeviceShare share = own_share(checkpoint, request, placement, mesh);
  share.checked_rows = joint_rows(request, checkpoint);
  share.attention_streams = kAttentionStreams;
  share.held_bytes = kHeldBytes;
  return share;
}

OffloadChoice choose_offload(const std::string& wanted, const OffloadPlans& plans,
                             const std::vector<Stage>& stages, int64_t free_bytes) {
  const Peak none = peak_of(plans.none, stages);
  const Peak sequential = peak_of(plans.sequential, stages);
  const std::string have = ", " + gigabytes(free_bytes) + " are free";
  const int64_t margin = kMarginBytes + none.bytes / kMarginDivisor;
  // Where decoding needs most, no linear layer that comes and goes makes it less.
  const bool tight = none.bytes + margin > free_bytes && sequential.bytes < none.bytes;
  const bool by_layer =
      wanted == "sequential" || (wanted == "auto" && (tight || none.bytes > free_bytes));
  const Peak& need = by_layer ? sequential : none;
  if (need.bytes > free_bytes) {
    throw MemoryError(
        "CUDA: " + need_text(need, by_layer ? "sequential" : wanted) + have + "; use " +
        (!by_layer && sequential.bytes <= free_bytes ? "--offload sequential, " : "") +
        memory_cure() + ", or a larger GPU");
  }
  if (!by_layer) return {.offload = "none", .plan = plans.none};
  OffloadChoice choice{.offload = "sequential", .plan = plans.sequential};
  if (wanted == "auto") {
    choice.notice = need_text(none, "none") + have + " and about " + gigabytes(margin) +
                    " should stay so: using --offload sequential, which needs about " +
                    gigabytes(sequential.bytes) + " and more time";
  }
  return choice;
}

OffloadPlans offload_plans(const RunPlan& plan, const Checkpoint& checkpoint, const Mesh& mesh) {
  const DeviceShare share = device_share(checkpoint, plan.request, plan.placement, mesh);
  return {plan_device_memory(checkpoint, plan.request, share, Offload::kNone),
          plan_device_memory(checkpoint, plan.request, share, Offload::kSequential)};
}

}  // namespace cogvx::app
