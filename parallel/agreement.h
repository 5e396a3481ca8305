#pragma once

#include <cstdint>
#include <string>

#include "parallel/group.h"

namespace cogvx {

// Whether all ranks hold the same value, 8 bytes of a hash. Throws DistributedError on every rank,
// naming what differs, the first rank that differs from rank 0, and both values.
void check_agreement(Group& group, const std::string& what, uint64_t value);

}  // namespace cogvx
