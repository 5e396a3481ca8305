// Any bytes as the pickle of a state dict.
#include <set>

#include "core/weights/torch_pickle.h"
#include "tests/fuzz/fuzz_support.h"

using namespace cogvx;
using fuzz::require;

namespace {

void require_inside(const TorchTensor& tensor, const TorchStorage& storage) {
  require(tensor.shape.size() == tensor.strides.size(), "every extent has a stride");
  unsigned __int128 count = 1, last = static_cast<uint64_t>(tensor.offset);
  require(tensor.offset >= 0, "the offset is not negative");
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    require(tensor.shape[i] >= 0 && tensor.strides[i] >= 0, "no extent or stride is negative");
    count *= static_cast<uint64_t>(tensor.shape[i]);
  }
  if (count == 0) return;
  for (size_t i = 0; i < tensor.shape.size(); ++i)
    last += static_cast<unsigned __int128>(tensor.shape[i] - 1) * tensor.strides[i];
  require(last < static_cast<unsigned __int128>(storage.count), "every element is in the storage");
  require(count <= static_cast<unsigned __int128>(storage.count), "no element is repeated at will");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view pickle(reinterpret_cast<const char*>(data), size);
  fuzz::parses([&] {
    const TorchState state = parse_torch_pickle(pickle, "input");
    require(!state.tensors.empty(), "a state dict has tensors");
    std::set<std::string> names;
    for (const TorchTensor& tensor : state.tensors) {
      require(names.insert(tensor.name).second, "a name is there once");
      require_inside(tensor, state.storages.at(tensor.storage));
    }
    for (const TorchStorage& storage : state.storages) {
      require(stored_dtype_size(storage.dtype) > 0, "the dtype is known");
      require(!storage.key.empty() && storage.key.find_first_of("/.\\") == storage.key.npos,
              "a key stays in its folder");
    }
  });
  return 0;
}
