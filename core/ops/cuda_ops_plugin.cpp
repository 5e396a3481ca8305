#include "core/ops/cuda_ops_plugin.h"

#include <dlfcn.h>
#include <torch/headeronly/version.h>

#include <cstdio>
#include <cstring>

#include "core/base/errors.h"
#include "core/ops/cuda/ops_factory.h"

namespace cogvx {
namespace {
namespace fs = std::filesystem;

constexpr const char* kOpsPluginName = "libcogvx_cuda_ops.so";

[[noreturn]] void fail(const std::string& found, const std::string& cure) {
  throw DeviceError("CUDA: " + found + "; " + cure + ", or run on the CPU");
}

// Fetches NVIDIA's libraries; an installed plugin has it in the share folder beside lib.
std::string setup_script(const fs::path& library) {
  const fs::path installed = library.parent_path() / ".." / "share/cogvx/scripts/setup.sh";
  std::error_code ignored;
  return fs::exists(installed, ignored) ? "'" + installed.lexically_normal().string() + "'"
                                        : "scripts/setup.sh";
}

// It stays loaded: the tensors it made, and the CUDA runtime, do not survive being unloaded.
CogvxMakeCudaOpsFunction load_factory(const fs::path& library) {
  void* handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* reason = dlerror();
    fail(
        "'" + library.string() + "' cannot be loaded: " + (reason ? reason : "no reason given"),
        "it needs PyTorch's and NVIDIA's CUDA libraries: run " + setup_script(library) + " --cuda");
  }
  void* entry = dlsym(handle, COGVX_MAKE_CUDA_OPS_NAME);
  if (entry == nullptr) {
    fail("'" + library.string() + "' is not this program's plugin: it has no " +
             COGVX_MAKE_CUDA_OPS_NAME,
         "build it again");
  }
  return reinterpret_cast<CogvxMakeCudaOpsFunction>(entry);
}

void check_status(int status, const CogvxCudaOpsCall& call, const fs::path& library) {
  switch (status) {
    case kCogvxCudaOpsOk:
      return;
    case kCogvxCudaOpsOtherBuild:
      fail("'" + library.string() + "' is of interface " + std::to_string(call.abi) +
               " and PyTorch " + call.torch + ", this program of " +
               std::to_string(kCogvxCudaOpsAbi) + " and " TORCH_VERSION,
           "build both together");
    case kCogvxCudaOpsMemoryError:
      throw MemoryError(std::string("CUDA: device ") + std::to_string(call.device) +
                        " has no memory left to start: " + call.error +
                        "; end what else runs there, or run on the CPU");
    default:
      fail("device " + std::to_string(call.device) + " cannot be used: " + call.error,
           "check nvidia-smi");
  }
}

// 91900 -> "9.19.0": `unit` is what a major version counts.
std::string version_text(int64_t version, int64_t unit) {
  if (version <= 0) return "";
  return std::to_string(version / unit) + "." + std::to_string(version % unit / 100) + "." +
         std::to_string(version % 100);
}

}  // namespace

MadeCudaOps make_cuda_ops(const fs::path& plugin, const CudaOpsWish& wish) {
  const fs::path library = plugin.parent_path() / kOpsPluginName;
  const CogvxMakeCudaOpsFunction make = load_factory(library);
  CogvxCudaOpsCall call{};
  call.abi = kCogvxCudaOpsAbi;
  std::snprintf(call.torch, sizeof call.torch, "%s", TORCH_VERSION);
  call.device = wish.device;
  call.attention = static_cast<int32_t>(wish.attention);
  call.planner = &wish.planner;
  check_status(make(&call), call, library);
  return {.ops = std::unique_ptr<Ops>(static_cast<Ops*>(call.ops)),
          .cudnn_version = version_text(call.cudnn_version, 10000),
          .cublaslt_version = version_text(call.cublaslt_version, 10000)};
}

}  // namespace cogvx
