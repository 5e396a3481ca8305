#pragma once

#include <cstdint>
#include <vector>

#include "core/base/thread_pool.h"
#include "core/ops/cpu/vector_math.h"
#include "core/ops/ops.h"

namespace cogvx::cpu {

// C_MN = A_MK B_KN, or += when `add`. B of Bf16 is packed in pairs along K (`pack_pairs`), so K is
// even; B of float is plain [K, N]. The instruction kernel is oneDNN's through libtorch where the
// CPU has it, else a plain loop.
struct TileShape {
  int64_t m, n, k;
  int64_t lda, ldb, ldc;
};
void gemm_tile(const TileShape& shape, const float* a, const float* b, float* c, bool add);
void gemm_tile(const TileShape& shape, const Bf16* a, const Bf16* b, float* c, bool add);
// To be called by a thread when it ends a run of gemm_tile: gives back hardware tiles.
void gemm_done();

// from_NK rows (stride `ld_from`) -> B_KN with row length `ldb` >= n, that is the transpose: floats
// plain, Bf16 in pairs along K. `k` must be even for Bf16.
void pack_transposed(const float* from, int64_t ld_from, int64_t n, int64_t k, float* to,
                     int64_t ldb);
void pack_transposed(const Bf16* from, int64_t ld_from, int64_t n, int64_t k, Bf16* to,
                     int64_t ldb);
// from_KN rows -> B_KN; Bf16 rows are interleaved in pairs and an odd last row is paired with
// zeros.
void pack_rows(const float* from, int64_t ld_from, int64_t k, int64_t n, float* to, int64_t ldb);
void pack_rows(const Bf16* from, int64_t ld_from, int64_t k, int64_t n, Bf16* to, int64_t ldb);

// y_RN = activation(x_RK W_NK^T + bias_N). Units: (block of 64 rows at a multiple of 64 counted
// from global row `first_row`, 64 output columns), each one gemm_tile over all of K.
at::Tensor linear(ThreadPool& pool, const at::Tensor& x_RK, const LinearWeights& weights,
                  const LinearCall& call);
LinearWeights pack_linear(const at::Tensor& weight_NK, const at::Tensor& bias_N);

}  // namespace cogvx::cpu
