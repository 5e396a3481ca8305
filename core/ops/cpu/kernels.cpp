#include "core/ops/cpu/kernels.h"

#include <array>
#include <stdexcept>

#include "core/ops/cpu/kernels/paths.h"

namespace cogvx::cpu {
namespace {

bool has_avx2() {
  return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
}
bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") != 0 &&
         __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512dq") != 0 &&
         __builtin_cpu_supports("avx512vl") != 0;
}

struct Entry {
  CpuPath path;
  std::string_view name;
  bool (*supported)();
  const Kernels& (*kernels)();
};
constexpr std::array<Entry, 4> kEntries{{
    {CpuPath::kPlain, "plain", [] { return true; }, plain_kernels},
    {CpuPath::kAvx2, "avx2", has_avx2, avx2_kernels},
    {CpuPath::kAvx512, "avx512", has_avx512, avx512_kernels},
    {CpuPath::kAvx512Bf16, "avx512-bf16",
     [] { return has_avx512() && __builtin_cpu_supports("avx512bf16") != 0; }, avx512_bf16_kernels},
}};

const Entry& entry_of(CpuPath path) {
  for (const Entry& entry : kEntries) {
    if (entry.path == path) return entry;
  }
  throw std::logic_error("no such path");
}

}  // namespace

std::string path_name(CpuPath path) { return std::string(entry_of(path).name); }

std::optional<CpuPath> find_path(std::string_view name) {
  for (const Entry& entry : kEntries) {
    if (entry.name == name) return entry.path;
  }
  return std::nullopt;
}

std::vector<CpuPath> supported_paths() {
  std::vector<CpuPath> supported;
  for (const Entry& entry : kEntries) {
    if (entry.supported()) supported.push_back(entry.path);
  }
  return supported;
}

const Kernels& kernels_of(CpuPath path) {
  const Entry& entry = entry_of(path);
  if (!entry.supported()) throw std::logic_error("this CPU has no " + std::string(entry.name));
  return entry.kernels();
}

}  // namespace cogvx::cpu
