#pragma once

#include <ATen/ops/empty.h>

#include <cstring>
#include <vector>

#include "core/base/random.h"
#include "core/ops/chooser.h"

namespace cogvx::test {

inline at::Tensor normal(std::vector<int64_t> shape, uint64_t seed) {
  at::Generator generator = make_generator(seed);
  return draw_normal(shape, generator, at::kFloat);
}

inline bool equal_bytes(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor x = a.contiguous(), y = b.contiguous();
  return x.nbytes() == y.nbytes() &&
         std::memcmp(x.const_data_ptr(), y.const_data_ptr(), x.nbytes()) == 0;
}

inline ProbeTools tools() {
  return {.reserve = [](int64_t bytes) {
    return at::empty({bytes}, at::TensorOptions().dtype(at::kByte));
  }};
}

}  // namespace cogvx::test
