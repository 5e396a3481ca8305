#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cogvx {

// A run of numbers in a PyTorch archive: the record `data/<key>`.
struct TorchStorage {
  std::string key;    // letters, digits and underscores
  std::string dtype;  // as safetensors names it: "F32", "BF16", ...
  int64_t count = 0;
};

// A tensor of the state dict; every element lies inside its storage.
struct TorchTensor {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;  // in elements, none negative
  int64_t offset = 0;            // in elements
  size_t storage = 0;            // index
};

struct TorchState {
  std::vector<TorchStorage> storages;
  std::vector<TorchTensor> tensors;  // in the order of the dictionary
};

// The state dict in a `data.pkl` that torch.save wrote, inside dictionaries' keys 'model', 'module'
// and 'state_dict' where they are there. Knows tensors, ordered dictionaries, sizes and plain data;
// runs nothing. Throws DataError, naming what it does not know.
TorchState parse_torch_pickle(std::string_view pickle, const std::string& label);

}  // namespace cogvx
