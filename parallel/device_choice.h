#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/ops/cuda_plugin.h"
#include "parallel/group.h"

// Which GPU a process takes, and whether that can be right. All but one are pure functions.
namespace cogvx {

// This process among those of its machine.
struct LocalPlace {
  int rank = 0;
  int size = 1;
};

// Entries of CUDA_VISIBLE_DEVICES: indices, UUIDs or beginnings of them. Unset: nothing; the CUDA
// runtime counts the devices of the entries that are there, up to the first that is not.
std::optional<std::vector<std::string>> visible_entries(const std::optional<std::string>& variable);

// The local rank's device among the visible ones, which CUDA has numbered from 0. Where a launcher
// shows each process one of its own, that one. Throws DeviceError where there are too few.
int choose_device(const std::vector<CudaDevice>& devices, const LocalPlace& place,
                  const std::optional<std::string>& variable);

// Throws DeviceError unless it is of compute capability 8.0 or newer and the plugin was built for
// it.
void check_device(const CudaDevice& device);

// The physical GPU of a process, wherever it is. A longer text is cut: host to 255 bytes, uuid to
// 63.
struct GpuPlace {
  std::string host;
  std::string uuid;
  bool operator==(const GpuPlace&) const = default;
};
// By rank. Over a group of the host, before NCCL starts.
std::vector<GpuPlace> gather_gpu_places(Group& world, const GpuPlace& own);
// NCCL hangs or fails late where two ranks share a GPU. Throws DeviceError, the same on all ranks.
void check_one_rank_per_gpu(const std::vector<GpuPlace>& places);

}  // namespace cogvx
