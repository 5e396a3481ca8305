#pragma once

#include <string>
#include <vector>

#include "app/forecast/cpu_speed.h"
#include "app/forecast/forecast.h"

namespace cogvx::app {

// What a run takes where it computes; loading is not in it.
struct Estimate {
  std::string device;
  std::string basis;  // "estimate, unmeasured", or how it was measured
  double step_seconds = 0;
  double text_seconds = 0;  // 0: not estimated
  double decode_seconds = 0;
  double run_seconds = 0;
  // Of a GPU: the offload with which every rank fits; empty: none does.
  std::string offload{};
  int64_t memory_bytes = 0;  // that the GPU has
};
// For the GPUs of configs/devices.json, one for each rank. Memory by the plan, if the run has a
// GPU's.
std::vector<Estimate> estimate_devices(const Forecast& run);
// By what was measured here.
Estimate estimate_cpu(const Forecast& run, const CpuSpeed& speed);
// The load that it is to be measured under.
CpuLoad cpu_load(const Forecast& run);

}  // namespace cogvx::app
