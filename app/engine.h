#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "core/ops/cpu/kernels.h"

namespace cogvx::app {

// The GPU that computes, with what decides bytes beside it.
struct GpuRecord {
  std::string name;
  std::string compute_capability;
  int multiprocessors = 0;
  std::string driver;  // the newest CUDA it serves
  std::string cuda;    // that the plugin was built with
  std::string cudnn;
  std::string cublaslt;
  bool operator==(const GpuRecord&) const = default;
};

// What computes: found, not chosen. Equal Request and equal Engine give equal bytes.
struct Engine {
  std::string cogvx;
  std::string torch;
  std::string device;                              // "cpu" or "cuda"
  std::string instruction_set;                     // what libtorch's kernels use
  std::string cpu_path;                            // what our own ones use on the CPU
  std::map<std::string, std::string> environment;  // set variables that can change bits
  std::optional<GpuRecord> gpu{};                  // with "cuda"
  bool operator==(const Engine&) const = default;
};
// With the CPU as its device.
Engine find_engine();
// The kernels to compute with on this CPU: its best, or those that COGVX_CPU_PATH names. Throws
// UsageError.
cpu::CpuPath chosen_cpu_path();

// Where and how: decides time and memory only.
struct Placement {
  std::string device = "cpu";
  int device_index = 0;  // of a GPU, among those this process sees
  std::string offload = "none";
  int cp = 1;
  int sp = 1;
  std::string sp_mode = "ulysses";
  int threads = 1;  // per process
  // With a transfer between GPUs that does not end; only time, so it is not recorded.
  std::chrono::seconds patience{600};
  bool operator==(const Placement&) const = default;
};
// Where this program lies; plugins lie beside it.
std::filesystem::path program_folder();
// Cores this process may run on.
int available_cores();

nlohmann::json engine_to_json(const Engine& engine);
nlohmann::json placement_to_json(const Placement& placement);

}  // namespace cogvx::app
