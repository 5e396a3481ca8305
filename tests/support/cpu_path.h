#pragma once

#include <cstdlib>
#include <stdexcept>
#include <string>

#include "core/ops/cpu/kernels.h"

namespace cogvx::test {

// The kernels that tests compute with: COGVX_CPU_PATH's, as in cogvx-gen, or this CPU's best.
inline cpu::CpuPath cpu_path() {
  const char* name = std::getenv("COGVX_CPU_PATH");
  if (name == nullptr) return cpu::supported_paths().back();
  const auto path = cpu::find_path(name);
  if (!path) throw std::runtime_error("COGVX_CPU_PATH names no path");
  return *path;
}

// For a test's name, which takes no dash.
inline std::string path_label(cpu::CpuPath path) {
  std::string name = cpu::path_name(path);
  std::erase(name, '-');
  return name;
}

}  // namespace cogvx::test
