#pragma once

#include <memory>

#include "core/ops/ops.h"

namespace cogvx::test {

// What the golden tests of a binary compute with in this dtype: the tests are the same for the CPU
// and for a GPU, and each binary links the maker of its own.
std::unique_ptr<Ops> make_golden_ops(at::ScalarType dtype);

}  // namespace cogvx::test
