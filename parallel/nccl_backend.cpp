#include "parallel/nccl_backend.h"

#include <dlfcn.h>

#include <array>
#include <cstdlib>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include "core/base/errors.h"
#include "parallel/cuda/nccl_factory.h"

namespace cogvx {
namespace {

constexpr const char* kLibrary = "libcogvx_nccl.so";

[[noreturn]] void fail(const std::filesystem::path& file, const std::string& found,
                       const std::string& cure) {
  throw DeviceError("NCCL: '" + file.string() + "' " + found + "; " + cure);
}

// It stays loaded, as libtorch_cuda does.
void* load_library(const std::filesystem::path& file) {
  void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* reason = dlerror();
    fail(file, "cannot be loaded: " + std::string(reason ? reason : "no reason given"),
         "several GPUs want PyTorch's CUDA libraries with NCCL: install what is missing, or run on "
         "one GPU");
  }
  return library;
}

CogvxMakeNcclGroup load_maker(const std::filesystem::path& file) {
  void* library = load_library(file);
  void* entry = dlsym(library, COGVX_MAKE_NCCL_GROUP_NAME);
  if (entry == nullptr)
    fail(file, "has no " + std::string(COGVX_MAKE_NCCL_GROUP_NAME), "build it again");
  return reinterpret_cast<CogvxMakeNcclGroup>(entry);
}

}  // namespace

std::vector<std::pair<std::string, std::string>> nccl_environment() {
  return {
      // Its watchdog would end the process; deadlines are ours.
      {"TORCH_NCCL_ASYNC_ERROR_HANDLING", "0"},
      {"TORCH_NCCL_ENABLE_MONITORING", "0"},
      {"TORCH_NCCL_PROPAGATE_ERROR", "0"},
      {"TORCH_NCCL_RETHROW_CUDA_ERRORS", "0"},
      {"TORCH_NCCL_LOG_CPP_STACK_ON_UNCLEAN_SHUTDOWN", "0"},
      // A wait orders streams and never stops the host.
      {"TORCH_NCCL_BLOCKING_WAIT", "0"},
      // Records of what was done, for its own reports.
      {"TORCH_FR_BUFFER_SIZE", "0"},
      {"TORCH_NCCL_DUMP_ON_TIMEOUT", "0"},
      {"TORCH_NCCL_DESYNC_DEBUG", "0"},
      {"TORCH_NCCL_ENABLE_TIMING", "0"},
      // Bytes are no numbers here.
      {"TORCH_NCCL_NAN_CHECK", "0"},
  };
}

MakeBackend nccl_backends(const std::filesystem::path& folder, int device) {
  for (const auto& [name, value] : nccl_environment())
    setenv(name.c_str(), value.c_str(), /*overwrite=*/1);
  const CogvxMakeNcclGroup make = load_maker(folder / kLibrary);
  return [make, device](const c10::intrusive_ptr<c10d::Store>& store, const GroupPlace& place) {
    const CogvxNcclRequest request{.abi = kCogvxNcclAbi,
                                   .rank = place.rank,
                                   .size = place.size,
                                   .device = device,
                                   .name = place.name.c_str(),
                                   .store = store.get()};
    std::array<char, 1024> error{};
    void* backend = make(&request, error.data(), error.size());
    if (backend == nullptr) {
      const std::string text = error.data();
      throw DistributedError("group '" + place.name + "', rank " + std::to_string(place.rank) +
                             " of " + std::to_string(place.size) + ": NCCL does not start on GPU " +
                             std::to_string(device) + ": " + text.substr(0, text.find('\n')) +
                             "; NCCL_DEBUG=INFO makes it say more");
    }
    return c10::intrusive_ptr<c10d::Backend>::reclaim(static_cast<c10d::Backend*>(backend));
  };
}

std::string nccl_version(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / kLibrary;
  // dlsym looks into what the library was linked with, too.
  void* entry = dlsym(load_library(file), "ncclGetVersion");
  int version = 0;
  if (entry == nullptr || reinterpret_cast<int (*)(int*)>(entry)(&version) != 0)
    fail(file, "does not tell its version", "install PyTorch's own NCCL");
  return std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." +
         std::to_string(version % 100);
}

}  // namespace cogvx
