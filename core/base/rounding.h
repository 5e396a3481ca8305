#pragma once

#include <cmath>
#include <cstdint>

namespace cogvx {

// As Python's and numpy's round: half to even.
inline int64_t round_half_even(double x) { return static_cast<int64_t>(std::nearbyint(x)); }

}  // namespace cogvx
