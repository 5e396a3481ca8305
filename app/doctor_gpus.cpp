#include <algorithm>
#include <cstdio>

#include "app/doctor.h"
#include "app/engine.h"
#include "app/memory_check.h"
#include "app/memory_users.h"
#include "core/base/errors.h"
#include "core/ops/cuda_plugin.h"
#include "parallel/nccl_backend.h"

namespace cogvx::app {
namespace {

using Level = Finding::Level;

constexpr size_t kUsersShown = 3;
// Of a GPU's memory, in the hands of others.
constexpr int64_t kMuchUsed = int64_t{2} << 30;

Finding examine_device(const CudaDevice& device) {
  const std::string name = "GPU " + std::to_string(device.index);
  std::string text = device.name + ", " + gigabytes(static_cast<int64_t>(device.memory_bytes)) +
                     ", compute capability " + std::to_string(device.compute_major) + "." +
                     std::to_string(device.compute_minor);
  if (!device.supported) {
    return {Level::kWarning, name, text + ", which this build has no code for",
            "leave it out with CUDA_VISIBLE_DEVICES"};
  }
  try {
    const GpuMemory memory = gpu_memory(device.uuid);
    text += ", " + gigabytes(memory.free_bytes) + " free";
    if (!memory.users.empty()) text += "; used: " + users_text(memory.users, kUsersShown);
    if (memory.total_bytes - memory.free_bytes > kMuchUsed) {
      return {Level::kWarning, name, text,
              "end what uses it, or choose others with CUDA_VISIBLE_DEVICES"};
    }
    return {Level::kOk, name, text};
  } catch (const DeviceError& unknown) {
    return {Level::kWarning, name, text + "; who uses it is unknown: " + unknown.what(),
            "nvidia-smi tells"};
  }
}

Finding examine_driver(const CudaReport& report) {
  const std::string driver = nvidia_driver_version();
  return {Level::kOk, "CUDA",
          "driver " + (driver.empty() ? "of unknown version" : driver) + " serves CUDA " +
              report.driver_version + ", this build is of CUDA " + report.runtime_version};
}

// Pairs that could share a run, in both directions.
std::vector<Finding> examine_copies(const CudaReport& report) {
  std::vector<Finding> found;
  int pairs = 0, direct = 0;
  double slowest = 0;
  for (const CudaDevice& from : report.devices) {
    for (const CudaDevice& to : report.devices) {
      if (from.index == to.index || !from.supported || !to.supported) continue;
      const std::string pair =
          "GPU " + std::to_string(from.index) + " to GPU " + std::to_string(to.index);
      try {
        const DeviceCopy copy = copy_between(report, from.index, to.index);
        ++pairs;
        direct += copy.direct ? 1 : 0;
        slowest = pairs == 1 ? copy.bytes_per_second : std::min(slowest, copy.bytes_per_second);
        if (!copy.intact) {
          found.push_back({Level::kProblem, "GPU copies", pair + ": other bytes come out",
                           "set NCCL_P2P_DISABLE=1, or turn IOMMU and ACS off"});
        }
      } catch (const DeviceError& failed) {
        found.push_back({Level::kProblem, "GPU copies", failed.what(), "check nvidia-smi"});
      }
    }
  }
  if (pairs == 0) return found;
  char text[120];
  std::snprintf(text, sizeof text, "%d pairs, %d of them direct, the slowest %.1f GB/s", pairs,
                direct, slowest / 1e9);
  found.insert(found.begin(), {Level::kOk, "GPU copies", text});
  return found;
}

Finding examine_nccl(const CudaReport& report) {
  try {
    return {Level::kOk, "NCCL", nccl_version(report.plugin.parent_path())};
  } catch (const DeviceError& missing) {
    const bool several = report.devices.size() > 1;
    return {several ? Level::kProblem : Level::kOk, "NCCL", missing.what(),
            several ? "run scripts/setup.sh --cuda, or use one GPU" : ""};
  }
}

}  // namespace

std::vector<Finding> examine_gpus(bool wanted) {
  CudaReport report;
  try {
    report = probe_cuda(program_folder());
  } catch (const DeviceError& none) {
    return {{wanted ? Level::kProblem : Level::kWarning, "CUDA", none.what()}};
  }
  std::vector<Finding> all = {examine_driver(report)};
  for (const CudaDevice& device : report.devices) all.push_back(examine_device(device));
  const std::vector<Finding> copies = examine_copies(report);
  all.insert(all.end(), copies.begin(), copies.end());
  all.push_back(examine_nccl(report));
  return all;
}

}  // namespace cogvx::app
