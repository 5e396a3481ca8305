#include "core/ops/cpu/packing.h"

#include <algorithm>
#include <cstring>

namespace cogvx::cpu {

void pack_transposed(const float* from, int64_t ld_from, int64_t n, int64_t k, float* to) {
  const int64_t columns = padded_columns(n);
  for (int64_t i = 0; i < k; ++i, to += columns) {
    for (int64_t j = 0; j < n; ++j) to[j] = from[j * ld_from + i];
    std::fill(to + n, to + columns, 0.0f);
  }
}

void pack_transposed(const Bf16* from, int64_t ld_from, int64_t n, int64_t k, Bf16* to) {
  const int64_t columns = padded_columns(n);
  for (int64_t i = 0; i < k; i += 2, to += 2 * columns) {
    for (int64_t j = 0; j < n; ++j)
      std::memcpy(to + 2 * j, from + j * ld_from + i, 2 * sizeof(Bf16));
    std::fill(to + 2 * n, to + 2 * columns, Bf16{0});
  }
}

void pack_rows(const float* from, int64_t ld_from, int64_t k, int64_t n, float* to) {
  const int64_t columns = padded_columns(n);
  for (int64_t i = 0; i < k; ++i, to += columns) {
    std::copy_n(from + i * ld_from, n, to);
    std::fill(to + n, to + columns, 0.0f);
  }
}

void pack_rows(const Bf16* from, int64_t ld_from, int64_t k, int64_t n, Bf16* to) {
  const int64_t columns = padded_columns(n);
  for (int64_t i = 0; i < k; i += 2, to += 2 * columns) {
    for (int64_t j = 0; j < n; ++j) {
      to[2 * j] = from[i * ld_from + j];
      to[2 * j + 1] = i + 1 < k ? from[(i + 1) * ld_from + j] : Bf16{0};
    }
    std::fill(to + 2 * n, to + 2 * columns, Bf16{0});
  }
}

}  // namespace cogvx::cpu
