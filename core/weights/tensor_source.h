#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/shapes.h"

namespace cogvx {

struct SourceTensor {
  std::string name;
  std::string dtype;  // as safetensors names it
  std::vector<int64_t> shape;
};

// Rows of a tensor: along its first dimension; one of no dimension is one row.
inline int64_t row_count(const std::vector<int64_t>& shape) {
  return shape.empty() ? 1 : shape.front();
}

// The tensors of a file or of some, to be read piece by piece.
class TensorSource {
 public:
  virtual ~TensorSource() = default;
  virtual const std::vector<SourceTensor>& tensors() const = 0;
  // Rows of tensors()[index], of a dtype of F32, F16 or BF16, as stored, [rows, ...] contiguous in
  // memory of their own.
  virtual at::Tensor read_rows(size_t index, RowRange rows) const = 0;
  // The file's path, for messages.
  virtual std::string label(size_t index) const = 0;
};

}  // namespace cogvx
