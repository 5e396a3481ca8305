#pragma once

#include <string>
#include <vector>

#include "app/engine.h"
#include "app/model_kinds.h"
#include "app/options.h"
#include "app/output_plan.h"
#include "core/base/monitor.h"
#include "core/pipeline/memory_plan.h"
#include "core/pipeline/request.h"
#include "parallel/device_choice.h"

namespace cogvx::app {

// A run, decided and checked before any weight is read.
struct RunPlan {
  ModelKind kind;
  Request request;  // checkpoint hashes still empty
  Placement placement;
  OutputPlan output;
  std::vector<std::string> notices;
  MemoryPlan device_memory{};  // of this process's GPU; zeros without one
};

// Throws UsageError, DataError, DeviceError or OutputError with the nearest legal value where there
// is one.
// Only a process that writes the results checks their places; one that forecasts looks for no GPU
// and at no file of the output, and leaves it to its caller whether memory is enough.
enum class Role { kWritesResults, kHelps, kForecasts };
// A process among those of its run.
struct Part {
  Role role = Role::kWritesResults;
  LocalPlace here;   // those of the run on this machine share its cores and each take a GPU
  ItemPlace item{};  // the video among those of the run
};
RunPlan resolve(const Options& options, const Checkpoint& checkpoint, const Part& part);
// The stages that a run goes through.
std::vector<Stage> stages_of(const Options& options);
// A seed for --seed -1.
int64_t pick_seed();
// The options with everything that `auto` and defaults left open filled in.
Options resolved_options(const Options& options, const RunPlan& plan);
// What can be checked without a checkpoint.
void check_options(const Options& options);

}  // namespace cogvx::app
