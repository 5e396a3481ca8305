#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "core/base/thread_pool.h"
#include "core/ops/cpu/cpu_ops.h"
#include "core/ops/cuda/kernel_calls.h"
#include "tests/support/launch_emulator.h"
#include "tests/support/tiny_checkpoint.h"

// Beside the CPU's plain kernels, which fuse no multiply-add either, so that "equal" can mean every
// bit.
namespace cogvx::test {

inline at::Tensor numbers(const std::string& name, const std::vector<int64_t>& shape,
                          at::ScalarType dtype = at::kFloat, double mean = 0, double std = 1) {
  at::Tensor tensor = at::empty(shape, at::kFloat);
  const auto values = golden_values(name, static_cast<size_t>(tensor.numel()), mean, std);
  std::copy(values.begin(), values.end(), tensor.mutable_data_ptr<float>());
  return tensor.to(dtype);
}

// CPU ops know no fp16. All their arithmetic is fp32 with one rounding where they store, so that
// fp32 on the same values, rounded at the end, is what they would give.
inline at::ScalarType cpu_dtype(at::ScalarType dtype) {
  return dtype == at::kHalf ? at::kFloat : dtype;
}

inline void watch_input(GridWatch& watch, const std::string& name, const at::Tensor& tensor) {
  if (tensor.defined() && tensor.numel() > 0)
    watch.input(name, tensor.const_data_ptr(), tensor.numel(), tensor.element_size());
}

inline void watch_output(GridWatch& watch, const std::string& name, const at::Tensor& tensor,
                         std::vector<uint8_t> wanted = {}) {
  watch.output(name, tensor.mutable_data_ptr(), tensor.numel(), tensor.element_size(),
               std::move(wanted));
}

inline testing::AssertionResult equal_bits(const at::Tensor& found, const at::Tensor& wanted) {
  const at::Tensor a = found.contiguous();
  const at::Tensor b = wanted.contiguous();
  if (a.scalar_type() != b.scalar_type() || a.sizes() != b.sizes())
    return testing::AssertionFailure() << "of another shape or dtype";
  const size_t size = a.element_size();
  const auto* x = static_cast<const char*>(a.const_data_ptr());
  const auto* y = static_cast<const char*>(b.const_data_ptr());
  int64_t different = 0;
  for (int64_t i = 0; i < a.numel(); ++i)
    different += std::memcmp(x + size * i, y + size * i, size) != 0;
  if (different == 0) return testing::AssertionSuccess();
  return testing::AssertionFailure() << different << " of " << a.numel() << " elements differ";
}

// 41 shapes: 2B, 5B, demo, the tiny models and odd ones; the longest has one width, for time's
// sake.
struct RowShape {
  int64_t rows;
  int64_t width;
};
inline std::vector<RowShape> row_shapes() {
  std::vector<RowShape> shapes;
  for (const int64_t width : {1920, 3072, 192, 480, 320, 1, 7, 1025}) {
    for (const int64_t rows : {1, 2, 63, 64, 65}) shapes.push_back({rows, width});
  }
  shapes.push_back({17776, 192});
  return shapes;
}

// All video, all text, and calls that begin before, at and behind the seam.
inline std::vector<cuda::RowKinds> row_kinds(int64_t rows) {
  return {{0, 0}, {0, rows}, {0, rows / 2}, {192, 226}, {226, 226}, {256, 226}};
}

inline std::string dtype_label(const testing::TestParamInfo<at::ScalarType>& info) {
  if (info.param == at::kFloat) return "Fp32";
  return info.param == at::kHalf ? "Fp16" : "Bf16";
}

class CudaKernels : public testing::TestWithParam<at::ScalarType> {
 protected:
  CudaKernels() : pool_(1), ops_(pool_, cpu::CpuPath::kPlain) {}
  at::Tensor own(const std::string& name, const std::vector<int64_t>& shape, double mean = 0,
                 double std = 1) const {
    return numbers(name, shape, GetParam(), mean, std);
  }
  static at::Tensor for_cpu(const at::Tensor& tensor) {
    return tensor.defined() ? tensor.to(cpu_dtype(GetParam())) : tensor;
  }

  ThreadPool pool_;
  CpuOps ops_;
};

}  // namespace cogvx::test
