#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace cogvx::app {

struct MemoryUser {
  int64_t pid = 0;
  std::string name;
  int64_t bytes = 0;
};
// Processes of this machine that this one may see, by resident memory, the largest first.
std::vector<MemoryUser> host_memory_users();

// What NVIDIA's management library (libnvidia-ml.so.1) knows of one GPU.
struct GpuMemory {
  int64_t free_bytes = 0;
  int64_t total_bytes = 0;
  std::vector<MemoryUser> users;  // largest first; 0 bytes where it does not tell
};
// `uuid`: as CudaDevice has it. Throws DeviceError where the library is not there or refuses.
GpuMemory gpu_memory(const std::string& uuid);
// The driver's version, "580.65.06"; empty where the library does not tell.
std::string nvidia_driver_version();

// "12.30 GB by python3 (1234), ..." of the first `most`; empty for none.
std::string users_text(const std::vector<MemoryUser>& users, size_t most);

}  // namespace cogvx::app
