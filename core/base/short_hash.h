#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace cogvx {

// The first 8 bytes of the SHA-256 of some bytes, and of a tensor's: enough to tell that two
// processes or runs hold the same.
uint64_t short_hash(const void* data, size_t size);
uint64_t short_hash(const at::Tensor& tensor);

// 16 hexadecimal digits.
std::string hash_text(uint64_t hash);

}  // namespace cogvx
