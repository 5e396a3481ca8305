#include "tests/fuzz/fuzz_support.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace cogvx::fuzz {

void require(bool holds, const char* invariant) {
  if (holds) return;
  std::fprintf(stderr, "invariant broken: %s\n", invariant);
  std::abort();
}

void require_message(std::string_view message, std::string_view label) {
  constexpr size_t kLongest = 1000;
  require(message.starts_with(label), "a message starts with the file's name");
  require(message.size() <= kLongest, "a message is short");
  for (const char c : message)
    require(static_cast<unsigned char>(c) >= 0x20, "a message is one line");
}

void require_layout(const SafetensorsHeader& header, size_t file_size) {
  size_t at = header.tensors.empty() ? file_size : header.tensors.front().begin;
  require(at >= 8, "data stands behind the header");
  for (const StoredTensor& tensor : header.tensors) {
    require(tensor.begin == at, "a tensor starts where the one before ends");
    require(tensor.end >= tensor.begin && tensor.end <= file_size, "a tensor lies in the file");
    size_t size = stored_dtype_size(tensor.dtype);
    require(size > 0, "the dtype is known");
    for (const int64_t extent : tensor.shape) {
      require(extent >= 0, "an extent is not negative");
      size *= static_cast<size_t>(extent);
    }
    require(tensor.end - tensor.begin == size, "a tensor has the size of its shape");
    at = tensor.end;
  }
  require(at == file_size, "the last tensor ends with the file");
}

std::string written_again(const SafetensorsHeader& header, std::string_view file) {
  std::string again = safetensors_prefix(header.tensors, header.metadata);
  for (const StoredTensor& tensor : header.tensors)
    again += file.substr(tensor.begin, tensor.end - tensor.begin);
  return again;
}

void require_equal(const SafetensorsHeader& a, const SafetensorsHeader& b) {
  require(a.metadata == b.metadata, "metadata comes back");
  require(a.tensors.size() == b.tensors.size(), "as many tensors come back");
  const auto base = [](const SafetensorsHeader& h) { return h.tensors.front().begin; };
  for (size_t i = 0; i < a.tensors.size(); ++i) {
    const StoredTensor &x = a.tensors[i], &y = b.tensors[i];
    require(x.name == y.name && x.dtype == y.dtype && x.shape == y.shape, "a tensor comes back");
    require(x.begin - base(a) == y.begin - base(b), "a tensor's place comes back");
  }
}

size_t mutate_safetensors(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  constexpr size_t kLengthBytes = 8;
  size = LLVMFuzzerMutate(data, size, max_size);
  if (seed % 4 == 0 || size <= kLengthBytes) return size;
  // Our own seeds hold no brace in their data.
  const size_t last = std::string_view(reinterpret_cast<const char*>(data), size).rfind('}');
  if (last == std::string_view::npos || last < kLengthBytes) return size;
  const uint64_t length = last + 1 - kLengthBytes;
  std::memcpy(data, &length, kLengthBytes);
  return size;
}

}  // namespace cogvx::fuzz
