#include "app/computer.h"

#include "core/ops/cpu/cpu_ops.h"
#include "core/ops/cuda_ops_plugin.h"
#include "core/ops/cuda_plugin.h"
#include "core/ops/sequential_offload.h"

namespace cogvx::app {
namespace {

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

Computer::Computer(const Placement& placement, const Request& request, const Checkpoint& checkpoint)
    : pool_(placement.threads), engine_(find_engine()) {
  if (placement.device == "cpu") {
    ops_ = std::make_unique<CpuOps>(pool_);
    return;
  }
  const CudaReport report = probe_cuda(program_folder());
  MadeCudaOps made = make_cuda_ops(report.plugin, {.device = placement.device_index,
                                                   .attention = request.attention,
                                                   .joint_rows = joint_rows(request, checkpoint)});
  engine_.device = "cuda";
  engine_.gpu = record_of(report, placement.device_index, made);
  ops_ = std::move(made.ops);
  if (placement.offload == "sequential")
    ops_ = std::make_unique<SequentialOffload>(std::move(ops_));
}

}  // namespace cogvx::app
