#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace cogvx {

struct CudaDevice {
  int index = 0;
  std::string name;
  std::string uuid;  // of the hardware, the same in every process
  int compute_major = 0;
  int compute_minor = 0;
  int multiprocessors = 0;
  uint64_t memory_bytes = 0;
  // Whether the plugin was compiled for it; at least one device of a report is.
  bool supported = false;
};

struct CudaReport {
  std::filesystem::path plugin;
  std::string driver_version;   // the newest CUDA that the driver serves, "13.0"
  std::string runtime_version;  // the CUDA that the plugin was built with
  std::vector<CudaDevice> devices;
};

// Loads the CUDA plugin, libcogvx_cuda.so, and asks it for this machine's devices. It is looked for
// in `folder`, `folder`/lib and `folder`/../lib, so the program's own folder will do, installed or
// in a build. Throws DeviceError, in one line that says why not, where nothing can compute.
CudaReport probe_cuda(const std::filesystem::path& folder);

// Memory of a device of the report that nobody uses now. Creates a CUDA context there, which this
// process will compute in. Throws DeviceError.
int64_t free_device_bytes(const CudaReport& report, int device);

// A block copied from one device of the report to another and back to the host.
struct DeviceCopy {
  bool direct = false;  // without the host's memory between
  bool intact = false;  // the same bytes came out
  double bytes_per_second = 0;
};
// Throws DeviceError.
DeviceCopy copy_between(const CudaReport& report, int from, int to);

// The CUDA that the plugin near `folder` was built with, device or not; empty where there is no
// plugin that answers.
std::string cuda_plugin_runtime(const std::filesystem::path& folder);

}  // namespace cogvx
