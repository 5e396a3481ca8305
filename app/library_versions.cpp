#include "app/library_versions.h"

#include <ATen/Version.h>

#include <CLI/Version.hpp>
#include <nlohmann/json.hpp>
#include <sstream>

#include "app/engine.h"
#include "core/ops/cuda_plugin.h"
#include "io/libav_versions.h"

namespace cogvx::app {
namespace {

std::string joined(int major, int minor, int patch) {
  return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(patch);
}

// libtorch names what it computes with in lines such as "  - Intel(R) MKL-DNN v3.10.2 (Git Hash
// f1d471933dc...)".
std::string torch_part(const std::string& words) {
  std::istringstream config(at::show_config());
  for (std::string line; std::getline(config, line);) {
    const size_t name = line.find(words);
    if (name == std::string::npos) continue;
    const size_t digit = line.find_first_of("0123456789", name + words.size());
    if (digit == std::string::npos) continue;
    return line.substr(digit, line.find_first_of(" -", digit) - digit);
  }
  return "not in this libtorch";
}

std::string plugin_text() {
  const std::string cuda = cuda_plugin_runtime(program_folder());
  return cuda.empty() ? "none with this program" : "built with CUDA " + cuda;
}

}  // namespace

std::vector<LibraryVersion> library_versions(const std::string& program) {
  const Engine engine = find_engine();
  std::vector<LibraryVersion> all = {{program, engine.cogvx},
                                     {"libtorch", engine.torch},
                                     {"oneDNN", torch_part("MKL-DNN v")},
                                     {"MKL", torch_part("Math Kernel Library Version ")}};
  for (const auto& [name, version] : io::libav_versions()) all.push_back({name, version});
  all.push_back({"sentencepiece", COGVX_SENTENCEPIECE_VERSION});
  all.push_back({"nlohmann/json", joined(NLOHMANN_JSON_VERSION_MAJOR, NLOHMANN_JSON_VERSION_MINOR,
                                         NLOHMANN_JSON_VERSION_PATCH)});
  all.push_back({"CLI11", CLI11_VERSION});
  all.push_back(logging_library());
  all.push_back({"CUDA plugin", plugin_text()});
  return all;
}

}  // namespace cogvx::app
