#pragma once

#include <ATen/core/Tensor.h>

#include <stdexcept>

#include "core/ops/cpu/storage.h"

namespace cogvx::cpu {

// Calls typed(float{}) or typed(Bf16{}).
template <typename F>
void by_type(at::ScalarType dtype, const F& typed) {
  if (dtype == at::kFloat) {
    typed(float{});
  } else if (dtype == at::kBFloat16) {
    typed(Bf16{});
  } else {
    throw std::logic_error("CPU ops compute in fp32 or bf16 only");
  }
}

template <typename T>
const T* data(const at::Tensor& tensor) {
  return tensor.defined() ? static_cast<const T*>(tensor.const_data_ptr()) : nullptr;
}
template <typename T>
T* mutable_data(const at::Tensor& tensor) {
  return static_cast<T*>(tensor.mutable_data_ptr());
}

}  // namespace cogvx::cpu
