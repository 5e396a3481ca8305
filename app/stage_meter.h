#pragma once

#include <functional>
#include <vector>

#include "app/life.h"
#include "app/sidecar.h"
#include "core/ops/ops.h"
#include "core/pipeline/memory_plan.h"

namespace cogvx::app {

// A stage of a run as its report sees it: how long, and how much memory beside what was planned.
class StageMeter {
 public:
  // `host` and `device` are this process's plans; `reports` gets an entry for every stage.
  StageMeter(Life& life, Ops& ops, const MemoryPlan& host, const MemoryPlan& device,
             std::vector<StageReport>& reports)
      : life_(life), ops_(ops), host_(host), device_(device), reports_(reports) {}

  // Throws what `work` throws; MemoryError naming the stage and its need where memory ran out.
  void run(Stage stage, const std::function<void()>& work);

 private:
  Life& life_;
  Ops& ops_;
  MemoryPlan host_;
  MemoryPlan device_;
  std::vector<StageReport>& reports_;
};

}  // namespace cogvx::app
