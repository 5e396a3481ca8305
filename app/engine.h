#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace cogvx::app {

// What computes: found, not chosen. Equal Request and equal Engine give equal bytes.
struct Engine {
  std::string cogvx;
  std::string torch;
  std::string device;                              // "cpu"
  std::string instruction_set;                     // what libtorch's kernels use, and what ours may
  std::map<std::string, std::string> environment;  // set variables that can change bits
  bool operator==(const Engine&) const = default;
};
Engine find_engine();

// Where and how: decides time and memory only.
struct Placement {
  std::string device = "cpu";
  int cp = 1;
  int sp = 1;
  std::string sp_mode = "ulysses";
  int threads = 1;  // per process
  bool operator==(const Placement&) const = default;
};
// Where this program lies; plugins lie beside it.
std::filesystem::path program_folder();
// Cores this process may run on.
int available_cores();

nlohmann::json engine_to_json(const Engine& engine);
nlohmann::json placement_to_json(const Placement& placement);

}  // namespace cogvx::app
