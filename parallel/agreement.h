#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "parallel/group.h"

namespace cogvx {

// Whether all ranks hold the same value, 8 bytes of a hash. Throws DistributedError on every rank,
// naming what differs, the first rank that differs from rank 0, and both values.
void check_agreement(Group& group, const std::string& what, uint64_t value);

// 8 bytes of the SHA-256 of some bytes, and of a tensor's.
uint64_t short_hash(const void* data, size_t size);
uint64_t short_hash(const at::Tensor& tensor);

}  // namespace cogvx
