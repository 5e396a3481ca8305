#include "app/computer.h"

#include <limits.h>
#include <unistd.h>

#include "core/ops/cpu/cpu_ops.h"
#include "core/ops/cuda_ops_plugin.h"
#include "core/ops/cuda_plugin.h"
#include "core/ops/sequential_offload.h"

namespace cogvx::app {
namespace {

std::string host_name() {
  char name[HOST_NAME_MAX + 1] = {};
  gethostname(name, HOST_NAME_MAX);
  return name;
}

GpuRecord record_of(const CudaReport& report, int device, const MadeCudaOps& made) {
  const CudaDevice& gpu = report.devices.at(device);
  return {.name = gpu.name,
          .compute_capability =
              std::to_string(gpu.compute_major) + "." + std::to_string(gpu.compute_minor),
          .multiprocessors = gpu.multiprocessors,
          .driver = report.driver_version,
          .cuda = report.runtime_version,
          .cudnn = made.cudnn_version,
          .cublaslt = made.cublaslt_version};
}

}  // namespace

Computer::Computer(const Placement& placement, const Request& request, Ranks& ranks)
    : pool_(placement.threads), engine_(find_engine()) {
  if (placement.device == "cpu") {
    ops_ = std::make_unique<CpuOps>(pool_, chosen_cpu_path());
  } else {
    compute_on_gpu(placement, request, ranks);
  }
}

void Computer::compute_on_gpu(const Placement& placement, const Request& request, Ranks& ranks) {
  const CudaReport report = probe_cuda(program_folder());
  const PlannerWatch watch{
      .agree = [&ranks](const std::string& what, uint64_t value) { ranks.agree(what, value); },
      .on_verdict = [this](const Verdict& verdict) { kernels_.push_back(verdict); }};
  MadeCudaOps made = make_cuda_ops(report.plugin, {.device = placement.device_index,
                                                   .attention = request.attention,
                                                   .planner = checked_planner(watch)});
  ops_ = std::move(made.ops);
  engine_.device = "cuda";
  engine_.gpu = record_of(report, placement.device_index, made);
  ranks.exchange_on({.place = {host_name(), report.devices.at(placement.device_index).uuid},
                     .libraries = report.plugin.parent_path(),
                     .index = placement.device_index,
                     .device = ops_->device(),
                     .patience = placement.patience});
  if (placement.offload == "sequential")
    ops_ = std::make_unique<SequentialOffload>(std::move(ops_));
}

}  // namespace cogvx::app
