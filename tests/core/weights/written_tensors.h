#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/core/weights/weights_test_support.h"

namespace cogvx::test {

using Tensors = std::vector<std::pair<std::string, at::Tensor>>;

inline std::string stored_name(at::ScalarType dtype) {
  return dtype == at::kFloat      ? "F32"
         : dtype == at::kHalf     ? "F16"
         : dtype == at::kBFloat16 ? "BF16"
         : dtype == at::kDouble   ? "F64"
                                  : "I64";
}

// A safetensors file of contiguous tensors in their order.
inline void write_tensors(const std::filesystem::path& path, const Tensors& tensors,
                          const std::map<std::string, std::string>& metadata = {}) {
  std::vector<StoredTensor> stored;
  std::string data;
  for (const auto& [name, tensor] : tensors) {
    stored.push_back({name, stored_name(tensor.scalar_type()), tensor.sizes().vec()});
    data.append(static_cast<const char*>(tensor.const_data_ptr()), tensor.nbytes());
  }
  write_text(path, safetensors_prefix(stored, metadata) + data);
}

}  // namespace cogvx::test
