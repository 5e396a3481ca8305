#pragma once

#include <string>
#include <vector>

#include "core/base/errors.h"
#include "core/base/monitor.h"
#include "core/pipeline/memory_plan.h"

namespace cogvx::app {

// Need of one stage by the plan; 0 where there is no prediction.
int64_t predicted_bytes(const MemoryPlan& plan, Stage stage);

// What a run needs of this machine: its first process, and each of the others that run here too.
struct MemoryNeed {
  MemoryPlan first;
  MemoryPlan helper{};
  int processes = 1;
};
MemoryNeed memory_need(const Checkpoint& checkpoint, const Request& request, int threads,
                       int processes);
// Throws MemoryError for a stage that can never fit, before hours of work; `notices` tell of one
// that does not fit now.
void check_memory(const MemoryNeed& need, const std::vector<Stage>& stages,
                  std::vector<std::string>& notices);

// "1.25 GB".
std::string gigabytes(int64_t bytes);
// What makes a run smaller, for the end of a message.
const char* memory_cure();

// What to say when a stage got no memory: need against what there is.
MemoryError out_of_memory(Stage stage, int64_t need);
// The same of a GPU, with its allocator's own words.
MemoryError out_of_device_memory(Stage stage, const std::string& words);

}  // namespace cogvx::app
