#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <vector>

#include "core/base/thread_pool.h"
#include "core/ops/cpu/cpu_ops.h"
#include "tests/support/cpu_path.h"
#include "tests/support/golden.h"
#include "tests/support/tiny_checkpoint.h"

namespace cogvx::test {

// Repeatable values of about unit size, a name giving a tensor of its own.
inline at::Tensor values(const std::string& name, const std::vector<int64_t>& shape,
                         at::ScalarType dtype = at::kFloat, double mean = 0, double std = 1) {
  at::Tensor tensor = at::empty(shape, at::kFloat);
  const auto numbers =
      golden_values("unit/" + name, static_cast<size_t>(tensor.numel()), mean, std);
  std::copy(numbers.begin(), numbers.end(), tensor.mutable_data_ptr<float>());
  return tensor.to(dtype);
}

// fp32 sums of a few hundred terms; one rounding to bf16 is up to 2^-9, 1.7e-3 on average.
inline double rounding_limit(at::ScalarType dtype) { return dtype == at::kFloat ? 1e-6 : 2.4e-3; }

// `exact` in double.
inline testing::AssertionResult close(const at::Tensor& found, const at::Tensor& exact,
                                      double limit) {
  const double error = difference(found, exact).relative_l2;
  if (error <= limit) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "relative L2 " << error << " (limit " << limit << ")";
}

class OpsTest : public testing::TestWithParam<at::ScalarType> {
 protected:
  OpsTest() : pool_(2), ops_(pool_, test::cpu_path()) {}
  at::ScalarType dtype() const { return GetParam(); }
  at::Tensor own(const std::string& name, const std::vector<int64_t>& shape, double mean = 0,
                 double std = 1) const {
    return values(name, shape, dtype(), mean, std);
  }

  ThreadPool pool_;
  CpuOps ops_;
};

inline std::string dtype_label(const testing::TestParamInfo<at::ScalarType>& info) {
  return info.param == at::kFloat ? "Fp32" : "Bf16";
}

// On every path of this CPU.
using PathAndDtype = std::tuple<cpu::CpuPath, at::ScalarType>;
class PathsTest : public testing::TestWithParam<PathAndDtype> {
 protected:
  PathsTest() : pool_(2), ops_(pool_, std::get<cpu::CpuPath>(GetParam())) {}
  at::ScalarType dtype() const { return std::get<at::ScalarType>(GetParam()); }
  at::Tensor own(const std::string& name, const std::vector<int64_t>& shape, double mean = 0,
                 double std = 1) const {
    return values(name, shape, dtype(), mean, std);
  }

  ThreadPool pool_;
  CpuOps ops_;
};
inline auto all_paths() {
  return testing::Combine(testing::ValuesIn(cpu::supported_paths()),
                          testing::Values(at::kFloat, at::kBFloat16));
}
inline std::string path_and_dtype_label(const testing::TestParamInfo<PathAndDtype>& info) {
  const auto& [path, dtype] = info.param;
  return path_label(path) + (dtype == at::kFloat ? "Fp32" : "Bf16");
}

}  // namespace cogvx::test
