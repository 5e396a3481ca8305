#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace cogvx {

// One tensor of a safetensors file; begin and end count from the start of the file.
struct StoredTensor {
  std::string name;
  std::string dtype;  // as stored: "F32", "BF16", ...
  std::vector<int64_t> shape;
  size_t begin = 0;
  size_t end = 0;
};

// Names and shapes of a component's tensors.
using TensorShapes = std::map<std::string, std::vector<int64_t>>;

struct SafetensorsHeader {
  std::vector<StoredTensor> tensors;  // in file order
  std::map<std::string, std::string> metadata;
};

// Parses and checks the header of a safetensors file that lies in memory; `label` names it in
// messages. Throws DataError when a length, offset, dtype or shape is not what the format allows.
SafetensorsHeader parse_safetensors(std::span<const std::byte> file, const std::string& label);

// The bytes that stand before the data of a safetensors file whose tensors follow in the given
// order; begin and end of each are ignored, its size follows from dtype and shape.
std::string safetensors_prefix(const std::vector<StoredTensor>& tensors,
                               const std::map<std::string, std::string>& metadata);

// Bytes an element of a stored dtype takes; 0 for one the format does not know.
size_t stored_dtype_size(const std::string& dtype);

}  // namespace cogvx
