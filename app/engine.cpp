#include "app/engine.h"

#include <ATen/Version.h>
#include <sched.h>
#include <torch/headeronly/version.h>
#include <unistd.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string_view>

#include "app/model_kinds_data.h"
#include "core/base/errors.h"

namespace cogvx::app {
namespace {

constexpr const char* kCpuPathVariable = "COGVX_CPU_PATH";
constexpr std::string_view kBitChangers[] = {"ATEN_CPU_CAPABILITY",  "ONEDNN_", "DNNL_",  "MKL_",
                                             "NVIDIA_TF32_OVERRIDE", "CUBLAS",  "CUDNN_", "TORCH_",
                                             kCpuPathVariable};

std::map<std::string, std::string> bit_changing_environment() {
  std::map<std::string, std::string> found;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const size_t end = text.find('=');
    // How bytes move changes none of them.
    if (text.starts_with("TORCH_FR_") || text.starts_with("TORCH_NCCL_")) continue;
    for (const std::string_view prefix : kBitChangers) {
      if (end != std::string_view::npos && text.starts_with(prefix)) {
        found.emplace(text.substr(0, end), text.substr(end + 1));
      }
    }
  }
  return found;
}

std::string instruction_set() {
  std::string set = at::get_cpu_capability();
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2")) set += " avx2";
  if (__builtin_cpu_supports("avx512f")) set += " avx512f";
  if (__builtin_cpu_supports("avx512bf16")) set += " avx512bf16";
  if (__builtin_cpu_supports("amx-bf16")) set += " amx-bf16";
  // MKL has other kernels for other makers of equal instruction sets.
  if (__builtin_cpu_is("intel")) set += " intel";
  if (__builtin_cpu_is("amd")) set += " amd";
  return set;
}

}  // namespace

Engine find_engine() {
  return {.cogvx = kCogvxVersion,
          .torch = TORCH_VERSION,
          .device = "cpu",
          .instruction_set = instruction_set(),
          .cpu_path = cpu::path_name(chosen_cpu_path()),
          .environment = bit_changing_environment()};
}

cpu::CpuPath chosen_cpu_path() {
  const std::vector<cpu::CpuPath> paths = cpu::supported_paths();
  const char* name = std::getenv(kCpuPathVariable);
  if (name == nullptr || *name == '\0') return paths.back();
  std::string known;
  for (const cpu::CpuPath path : paths) {
    if (cpu::path_name(path) == name) return path;
    known += (known.empty() ? "" : ", ") + cpu::path_name(path);
  }
  throw UsageError(std::string(kCpuPathVariable) + " is '" + name + "'; this CPU has " + known);
}

std::filesystem::path program_folder() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path();
}

int available_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) return CPU_COUNT(&set);
  return 1;
}

nlohmann::json engine_to_json(const Engine& engine) {
  nlohmann::json json = {{"cogvx", engine.cogvx},       {"torch", engine.torch},
                         {"device", engine.device},     {"instruction_set", engine.instruction_set},
                         {"cpu_path", engine.cpu_path}, {"environment", engine.environment}};
  if (engine.gpu) {
    json["gpu"] = {{"name", engine.gpu->name},
                   {"compute_capability", engine.gpu->compute_capability},
                   {"multiprocessors", engine.gpu->multiprocessors},
                   {"driver", engine.gpu->driver},
                   {"cuda", engine.gpu->cuda},
                   {"cudnn", engine.gpu->cudnn},
                   {"cublaslt", engine.gpu->cublaslt}};
  }
  return json;
}

nlohmann::json placement_to_json(const Placement& placement) {
  return {{"device", placement.device},   {"offload", placement.offload},
          {"cp", placement.cp},           {"sp", placement.sp},
          {"sp_mode", placement.sp_mode}, {"threads", placement.threads}};
}

}  // namespace cogvx::app
