#include "app/memory_users.h"

#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <fstream>

#include "app/memory_check.h"
#include "core/base/errors.h"

namespace cogvx::app {
namespace {

namespace fs = std::filesystem;

std::string process_name(int64_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/comm");
  std::string name;
  std::getline(file, name);
  return name.empty() ? "?" : name;
}

void sort_users(std::vector<MemoryUser>& users) {
  std::sort(users.begin(), users.end(),
            [](const MemoryUser& a, const MemoryUser& b) { return a.bytes > b.bytes; });
}

// The library's C interface, as far as it is used here (NVML reference, v2 process records).
constexpr const char* kLibrary = "libnvidia-ml.so.1";
using NvmlDevice = void*;
struct NvmlMemory {
  unsigned long long total, free, used;
};
struct NvmlProcess {
  unsigned pid;
  unsigned long long bytes;  // all ones: not told
  unsigned gpu_instance, compute_instance;
};
constexpr unsigned kMostProcesses = 256;

// The library, initialized while this lives.
class Nvml {
 public:
  Nvml() {
    library_ = dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
    if (library_ == nullptr)
      throw DeviceError(std::string(kLibrary) + " is not there; it comes with NVIDIA's driver");
    call<int()>("nvmlInit_v2");
  }
  ~Nvml() {
    if (auto* shutdown = reinterpret_cast<int (*)()>(dlsym(library_, "nvmlShutdown"))) shutdown();
    dlclose(library_);
  }
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;

  template <typename Signature, typename... Arguments>
  void call(const char* name, Arguments... arguments) const {
    auto* function = reinterpret_cast<Signature*>(dlsym(library_, name));
    if (function == nullptr)
      throw DeviceError(std::string(kLibrary) + " has no " + name + "; install a newer driver");
    const int status = function(arguments...);
    if (status != 0) {
      throw DeviceError(std::string(kLibrary) + ": " + name + " ended with status " +
                        std::to_string(status) + "; check nvidia-smi");
    }
  }

 private:
  void* library_;
};

}  // namespace

std::vector<MemoryUser> host_memory_users() {
  std::vector<MemoryUser> users;
  std::error_code error;
  for (fs::directory_iterator entry("/proc", error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename();
    int64_t pid = 0, all = 0, resident = 0;
    const auto [rest, bad] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (bad != std::errc() || rest != name.data() + name.size()) continue;
    std::ifstream file(entry->path() / "statm");
    // It may have ended by now.
    if (!(file >> all >> resident)) continue;
    users.push_back({pid, process_name(pid), resident * sysconf(_SC_PAGESIZE)});
  }
  sort_users(users);
  return users;
}

GpuMemory gpu_memory(const std::string& uuid) {
  const Nvml nvml;
  NvmlDevice device = nullptr;
  nvml.call<int(const char*, NvmlDevice*)>("nvmlDeviceGetHandleByUUID", uuid.c_str(), &device);
  NvmlMemory memory{};
  nvml.call<int(NvmlDevice, NvmlMemory*)>("nvmlDeviceGetMemoryInfo", device, &memory);
  std::array<NvmlProcess, kMostProcesses> processes{};
  unsigned count = kMostProcesses;
  nvml.call<int(NvmlDevice, unsigned*, NvmlProcess*)>("nvmlDeviceGetComputeRunningProcesses_v3",
                                                      device, &count, processes.data());
  GpuMemory result{.free_bytes = static_cast<int64_t>(memory.free),
                   .total_bytes = static_cast<int64_t>(memory.total),
                   .users = {}};
  for (unsigned i = 0; i < std::min(count, kMostProcesses); ++i) {
    const bool told = processes[i].bytes != ~0ULL;
    result.users.push_back({processes[i].pid, process_name(processes[i].pid),
                            told ? static_cast<int64_t>(processes[i].bytes) : 0});
  }
  sort_users(result.users);
  return result;
}

std::string nvidia_driver_version() {
  try {
    std::array<char, 96> text{};
    Nvml().call<int(char*, unsigned)>("nvmlSystemGetDriverVersion", text.data(),
                                      static_cast<unsigned>(text.size() - 1));
    return text.data();
  } catch (const DeviceError&) {
    return "";
  }
}

std::string users_text(const std::vector<MemoryUser>& users, size_t most) {
  std::string text;
  for (size_t i = 0; i < std::min(most, users.size()); ++i) {
    text += (i > 0 ? ", " : "") + gigabytes(users[i].bytes) + " by " + users[i].name + " (" +
            std::to_string(users[i].pid) + ")";
  }
  return text;
}

}  // namespace cogvx::app
