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
  // Of a GPU that the run is to be on: what --offload comes to where every rank fits, or why one
  // does not.
  std::string offload{};
  std::string does_not_fit{};
  int64_t memory_bytes = 0;  // that the GPU has
};
// For the GPUs of configs/devices.json, one for each rank.
std::vector<Estimate> estimate_devices(const Forecast& run);
// Why not even the largest of them would do; empty: one does.
std::string fits_no_known_gpu(const Forecast& run);
// By what was measured here.
Estimate estimate_cpu(const Forecast& run, const CpuSpeed& speed);
// The load that it is to be measured under.
CpuLoad cpu_load(const Forecast& run);

}  // namespace cogvx::app
