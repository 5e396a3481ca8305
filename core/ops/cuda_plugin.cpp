#include "core/ops/cuda_plugin.h"

#include <dlfcn.h>

#include <algorithm>
#include <memory>

#include "core/base/errors.h"
#include "core/ops/cuda/device_probe.h"

namespace cogvx {
namespace {
namespace fs = std::filesystem;

constexpr const char* kPluginName = "libcogvx_cuda.so";
constexpr const char* kOrCpu = ", or run on the CPU";

[[noreturn]] void fail(const std::string& found, const std::string& cure) {
  throw DeviceError("CUDA: " + found + "; " + cure + kOrCpu);
}

[[noreturn]] void fail_without_plugin(const fs::path& folder) {
#ifdef COGVX_CUDA_PLUGIN_BUILT
  fail("the plugin " + std::string(kPluginName) + " was built with this program but is not in '" +
           folder.string() + "', its lib or the lib beside it",
       "copy it there");
#else
  fail("this build has no CUDA part (no " + std::string(kPluginName) + " near '" + folder.string() +
           "'); it was configured without nvcc 13 or with COGVX_CUDA=OFF",
       "install nvcc 13 and build again with -DCOGVX_CUDA=ON");
#endif
}

fs::path find_plugin(const fs::path& folder) {
  for (const fs::path& place : {folder, folder / "lib", folder / ".." / "lib"}) {
    std::error_code ignored;
    const fs::path file = place / kPluginName;
    if (fs::is_regular_file(file, ignored)) return file.lexically_normal();
  }
  fail_without_plugin(folder);
}

// The plugin stays loaded: the CUDA runtime inside it does not survive being unloaded.
template <typename Function>
Function load_function(const fs::path& plugin, const char* name) {
  void* library = dlopen(plugin.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* reason = dlerror();
    fail("'" + plugin.string() + "' cannot be loaded: " + (reason ? reason : "no reason given"),
         "build it again");
  }
  void* entry = dlsym(library, name);
  if (entry == nullptr) {
    fail("'" + plugin.string() + "' is not this program's plugin: it has no " + name,
         "build it again");
  }
  return reinterpret_cast<Function>(entry);
}

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

void check_status(int status, const CogvxCudaProbe& probe, const fs::path& plugin) {
  switch (status) {
    case kCogvxCudaOk:
      return;
    case kCogvxCudaNoDriver:
      fail("no NVIDIA driver on this machine (libcuda.so.1 not found)",
           "install one that serves CUDA " + version_text(probe.runtime_version) + " or newer");
    case kCogvxCudaDriverTooOld:
      fail("the NVIDIA driver serves CUDA " + version_text(probe.driver_version) +
               " and this build wants " + version_text(probe.runtime_version),
           "install a newer driver");
    case kCogvxCudaNoDevice:
      fail("the driver shows no device", "check nvidia-smi and CUDA_VISIBLE_DEVICES");
    case kCogvxCudaOtherAbi:
      fail("'" + plugin.string() + "' speaks version " + std::to_string(probe.abi) +
               " of the plugin's interface and this program " + std::to_string(kCogvxCudaAbi),
           "build both together");
    default:
      fail(std::string("the driver cannot be asked for its devices: ") + probe.error,
           "check nvidia-smi");
  }
}

std::string describe(const CudaDevice& device) {
  return device.name + " (compute capability " + std::to_string(device.compute_major) + "." +
         std::to_string(device.compute_minor) + ")";
}

std::vector<CudaDevice> devices_of(const CogvxCudaProbe& probe) {
  std::vector<CudaDevice> devices;
  const int count = std::min<int>(probe.device_count, kCogvxCudaMaxDevices);
  for (int i = 0; i < count; ++i) {
    const CogvxCudaDevice& device = probe.devices[i];
    devices.push_back({.index = i,
                       .name = device.name,
                       .uuid = device.uuid,
                       .compute_major = device.compute_major,
                       .compute_minor = device.compute_minor,
                       .multiprocessors = device.multiprocessors,
                       .memory_bytes = device.memory_bytes,
                       .supported = device.supported != 0});
  }
  return devices;
}

// What a plugin says, whether it found a device or not.
struct Answer {
  int status = kCogvxCudaOk;
  // 20 KB: too much for a worker's stack to be given without thought.
  std::unique_ptr<CogvxCudaProbe> probe = std::make_unique<CogvxCudaProbe>();
};
Answer answer_of(const fs::path& plugin, int free_of) {
  const auto ask = load_function<CogvxCudaProbeFunction>(plugin, COGVX_CUDA_PROBE_NAME);
  Answer answer;
  answer.probe->abi = kCogvxCudaAbi;
  answer.probe->free_of = free_of;
  answer.status = ask(answer.probe.get());
  return answer;
}

std::unique_ptr<CogvxCudaProbe> ask_plugin(const fs::path& plugin, int free_of) {
  Answer answer = answer_of(plugin, free_of);
  check_status(answer.status, *answer.probe, plugin);
  return std::move(answer.probe);
}

}  // namespace

CudaReport probe_cuda(const fs::path& folder) {
  const fs::path plugin = find_plugin(folder);
  const auto probe = ask_plugin(plugin, /*free_of=*/-1);
  CudaReport report{.plugin = plugin,
                    .driver_version = version_text(probe->driver_version),
                    .runtime_version = version_text(probe->runtime_version),
                    .devices = devices_of(*probe)};
  if (std::none_of(report.devices.begin(), report.devices.end(),
                   [](const CudaDevice& device) { return device.supported; })) {
    const std::string first = report.devices.empty() ? "none" : describe(report.devices.front());
    fail("no device that this build was compiled for: found " + first + ", wanted " +
             probe->architectures,
         "use a device of compute capability 8.0 or newer");
  }
  return report;
}

int64_t free_device_bytes(const CudaReport& report, int device) {
  return static_cast<int64_t>(ask_plugin(report.plugin, device)->free_bytes);
}

DeviceCopy copy_between(const CudaReport& report, int from, int to) {
  const auto copy = load_function<CogvxCudaCopyFunction>(report.plugin, COGVX_CUDA_COPY_NAME);
  CogvxCudaCopy result{};
  result.abi = kCogvxCudaAbi;
  result.from = from;
  result.to = to;
  if (copy(&result) != kCogvxCudaOk) {
    throw DeviceError("CUDA: a copy from GPU " + std::to_string(from) + " to GPU " +
                      std::to_string(to) + " failed: " + result.error +
                      "; check nvidia-smi, and that nobody else fills these GPUs");
  }
  return {.direct = result.direct != 0,
          .intact = result.intact != 0,
          .bytes_per_second =
              result.seconds > 0 ? static_cast<double>(result.bytes) / result.seconds : 0};
}

std::string cuda_plugin_runtime(const fs::path& folder) {
  try {
    const Answer answer = answer_of(find_plugin(folder), /*free_of=*/-1);
    return answer.status == kCogvxCudaOtherAbi ? "" : version_text(answer.probe->runtime_version);
  } catch (const DeviceError&) {
    return "";
  }
}

}  // namespace cogvx
