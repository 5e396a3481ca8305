#include "core/ops/cpu/kernels.h"

#include <array>
#include <stdexcept>

#include "core/ops/cpu/kernels/paths.h"

namespace cogvx::cpu {
namespace {

constexpr std::array kPaths = {CpuPath::kPlain, CpuPath::kAvx2, CpuPath::kAvx512,
                               CpuPath::kAvx512Bf16};

bool supports(CpuPath path) {
  const bool avx2 = __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
  const bool avx512 =
      __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
      __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0;
  switch (path) {
    case CpuPath::kPlain:
      return true;
    case CpuPath::kAvx2:
      return avx2;
    case CpuPath::kAvx512:
      return avx2 && avx512;
    case CpuPath::kAvx512Bf16:
      return avx2 && avx512 && __builtin_cpu_supports("avx512bf16") != 0;
  }
  throw std::logic_error("no such path");
}

}  // namespace

std::string path_name(CpuPath path) {
  switch (path) {
    case CpuPath::kPlain:
      return "plain";
    case CpuPath::kAvx2:
      return "avx2";
    case CpuPath::kAvx512:
      return "avx512";
    case CpuPath::kAvx512Bf16:
      return "avx512-bf16";
  }
  throw std::logic_error("no such path");
}

std::optional<CpuPath> find_path(std::string_view name) {
  for (const CpuPath path : kPaths) {
    if (path_name(path) == name) return path;
  }
  return std::nullopt;
}

std::vector<CpuPath> supported_paths() {
  std::vector<CpuPath> supported;
  for (const CpuPath path : kPaths) {
    if (supports(path)) supported.push_back(path);
  }
  return supported;
}

const Kernels& kernels_of(CpuPath path) {
  if (!supports(path)) throw std::logic_error("this CPU has no " + path_name(path));
  switch (path) {
    case CpuPath::kPlain:
      return plain_kernels();
    case CpuPath::kAvx2:
      return avx2_kernels();
    case CpuPath::kAvx512:
      return avx512_kernels();
    case CpuPath::kAvx512Bf16:
      return avx512_bf16_kernels();
  }
  throw std::logic_error("no such path");
}

}  // namespace cogvx::cpu
