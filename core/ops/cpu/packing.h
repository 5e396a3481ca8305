#pragma once

#include <cstdint>

#include "core/ops/cpu/kernels.h"

// Matrices in the order in which GemmCall reads B.
namespace cogvx::cpu {

// Elements of B_KN with rows of padded_columns(n).
constexpr int64_t packed_size(int64_t k, int64_t n) { return k * padded_columns(n); }

// from_NK rows (stride `ld_from`) -> B_KN, that is the transpose. `k` must be even for Bf16.
void pack_transposed(const float* from, int64_t ld_from, int64_t n, int64_t k, float* to);
void pack_transposed(const Bf16* from, int64_t ld_from, int64_t n, int64_t k, Bf16* to);
// from_KN rows -> B_KN; an odd last row of Bf16 is paired with zeros.
void pack_rows(const float* from, int64_t ld_from, int64_t k, int64_t n, float* to);
void pack_rows(const Bf16* from, int64_t ld_from, int64_t k, int64_t n, Bf16* to);

}  // namespace cogvx::cpu
