#include "core/base/short_hash.h"

#include <cstdio>

#include "core/base/sha256.h"

namespace cogvx {

uint64_t short_hash(const void* data, size_t size) {
  return std::stoull(sha256_hex(data, size).substr(0, 16), nullptr, 16);
}

uint64_t short_hash(const at::Tensor& tensor) {
  const at::Tensor packed = tensor.contiguous();
  return short_hash(packed.const_data_ptr(), packed.nbytes());
}

std::string hash_text(uint64_t hash) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash));
  return text;
}

}  // namespace cogvx
