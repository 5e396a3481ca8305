#include "app/shared_memory.h"

#include <optional>
#include <set>

#include "app/device_memory.h"
#include "app/memory_check.h"
#include "core/ops/cuda_plugin.h"

namespace cogvx::app {
namespace {

// Of the videos that are to be made.
struct Batch {
  std::vector<Item*> items;
  std::vector<Stage> stages;  // that any of them goes through
  Resident texts;
  Resident parts;
};

Batch look_at(std::vector<Item>& items, const Checkpoint& checkpoint) {
  Batch batch;
  std::vector<const Request*> requests;
  std::set<Stage> stages;
  for (Item& item : items) {
    if (item.is_done) continue;
    batch.items.push_back(&item);
    requests.push_back(&item.plan.request);
    for (const Stage stage : stages_of(item.options)) stages.insert(stage);
  }
  batch.stages.assign(stages.begin(), stages.end());
  batch.texts = resident_texts(requests, checkpoint);
  batch.parts = resident_parts(requests, checkpoint);
  return batch;
}

// Rank 0 holds the texts; every process the parts.
MemoryNeed host_need(const Batch& batch, const Checkpoint& checkpoint, int processes,
                     const Resident& parts) {
  MemoryNeed need{.first = {}, .helper = {}, .processes = processes};
  for (const Item* item : batch.items) {
    const RunPlan& plan = item->plan;
    const MemoryNeed one = memory_need(checkpoint, plan.request, plan.placement.threads, processes);
    need.first = larger(need.first, one.first);
    need.helper = larger(need.helper, one.helper);
  }
  need.first = with_resident(need.first, batch.texts + parts);
  need.helper = with_resident(need.helper, parts);
  return need;
}

bool host_keeps_all(const Batch& batch, const Checkpoint& checkpoint, int processes,
                    std::vector<std::string>& notices) {
  try {
    check_memory(host_need(batch, checkpoint, processes, batch.parts), batch.stages, notices);
    return true;
  } catch (const MemoryError&) {
    check_memory(host_need(batch, checkpoint, processes, {}), batch.stages, notices);
    return false;
  }
}

// All prompts lie on the GPU while they are encoded, and on the host from then on.
MemoryPlan on_gpu(const MemoryPlan& plan, const Batch& batch, const Resident& parts) {
  MemoryPlan all = with_resident(plan, parts);
  if (all.encode_text > 0) all.encode_text += batch.texts.texts;
  return all;
}

// Of the transformer next to nothing stays there.
Resident without_transformer(Resident parts) {
  parts.transformer = 0;
  return parts;
}

struct GpuChoice {
  OffloadChoice offload;
  bool keeps_all = false;
};
GpuChoice choose_on_gpu(const Batch& batch, const Checkpoint& checkpoint, const Mesh& mesh) {
  OffloadPlans alone;
  for (const Item* item : batch.items) {
    const OffloadPlans plans = offload_plans(item->plan, checkpoint, mesh);
    alone.none = larger(alone.none, plans.none);
    alone.sequential = larger(alone.sequential, plans.sequential);
  }
  const Item& first = *batch.items.front();
  const int64_t free_bytes =
      free_device_bytes(probe_cuda(program_folder()), first.plan.placement.device_index);
  const auto choose = [&](const Resident& none, const Resident& sequential) {
    return choose_offload(
        first.options.offload,
        {on_gpu(alone.none, batch, none), on_gpu(alone.sequential, batch, sequential)},
        batch.stages, free_bytes);
  };
  if (batch.items.size() == 1) return {choose({}, {}), false};
  std::optional<OffloadChoice> together;
  try {
    together = choose(batch.parts, without_transformer(batch.parts));
  } catch (const MemoryError&) {
    // One at a time may do.
  }
  if (together && together->offload == "none") return {*together, true};
  OffloadChoice apart = choose({}, {});
  // To load a part anew takes less time than to bring each layer anew.
  if (apart.offload == "none" || !together) return {std::move(apart), false};
  return {*together, true};
}

constexpr char kLoadedAnew[] =
    "the transformer and the VAE do not fit into memory together: each is loaded anew for every "
    "video";

}  // namespace

SharedMemory settle_memory(std::vector<Item>& items, const Checkpoint& checkpoint, Ranks& ranks,
                           const LocalPlace& here) {
  const Batch batch = look_at(items, checkpoint);
  if (batch.items.empty() || items.front().options.dump_config) return {};
  Item& first = *batch.items.front();
  const bool several = batch.items.size() > 1;
  const bool with_gpu = first.plan.placement.device == "cuda";
  if (!several && !with_gpu) return {};
  GpuChoice gpu;
  if (with_gpu) gpu = choose_on_gpu(batch, checkpoint, ranks.mesh());
  bool keeps_all =
      with_gpu ? gpu.keeps_all : host_keeps_all(batch, checkpoint, here.size, first.plan.notices);
  if (several) keeps_all = ranks.first_said(keeps_all ? "" : "no").empty();
  if (several && !keeps_all) first.plan.notices.push_back(kLoadedAnew);
  if (!gpu.offload.notice.empty()) first.plan.notices.push_back(gpu.offload.notice);
  const Resident parts = keeps_all ? batch.parts : Resident{};
  for (Item* item : batch.items) {
    if (!with_gpu) break;
    const OffloadPlans plans = offload_plans(item->plan, checkpoint, ranks.mesh());
    const bool none = gpu.offload.offload == "none";
    item->plan.placement.offload = gpu.offload.offload;
    item->plan.device_memory = none ? on_gpu(plans.none, batch, parts)
                                    : on_gpu(plans.sequential, batch, without_transformer(parts));
  }
  // On a GPU the parts lie there.
  const Resident on_host = with_gpu ? Resident{} : parts;
  return {.keeping = keeps_all ? Keeping::kAllParts : Keeping::kOnePart,
          .resident = ranks.is_first() ? batch.texts + on_host : on_host};
}

}  // namespace cogvx::app
