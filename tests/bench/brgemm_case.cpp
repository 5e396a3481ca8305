#include <ATen/native/CPUBlas.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "core/base/shapes.h"
#include "tests/bench/bench_case.h"

// The ceiling of everything that multiplies matrices: at::native::cpublas::brgemm and nothing else.
namespace cogvx::bench {
namespace {

namespace blas = at::native::cpublas;

constexpr int64_t kColumns = 64;
// Row blocks that share a tile of weights while it is in the cache. Of the 60 cuts that were tried
// (32 to 256 columns, sums of 240 to 1920, 1 to 16 blocks) this one is within 2 % of the fastest in
// either dtype.
constexpr int64_t kBlocksPerTask = 16;

// W_NK in tiles of 64 columns, each [K, 64]; bf16 in pairs along K, as brgemm wants it.
at::Tensor packed_tiles(const at::Tensor& weight_NK) {
  const int64_t n = weight_NK.size(0), k = weight_NK.size(1);
  const at::Tensor tiles = weight_NK.view({n / kColumns, kColumns, k});
  if (weight_NK.scalar_type() == at::kFloat) return tiles.transpose(1, 2).contiguous();
  return tiles.view({n / kColumns, kColumns, k / 2, 2}).transpose(1, 2).contiguous();
}

struct Operands {
  at::Tensor x_RK;
  at::Tensor packed;
  at::Tensor bias_N;
  int64_t out = 0;
};

template <typename T>
void multiply_tiles(const Operands& o, int64_t column, int64_t first_block, float* store) {
  const int64_t k = o.x_RK.size(1), all_rows = o.x_RK.size(0);
  const int64_t end = std::min(all_rows, (first_block + kBlocksPerTask) * kBlockRows);
  const T* packed = o.packed.const_data_ptr<T>() + column * k;
  alignas(64) std::array<float, kBlockRows * kColumns> tile;
  for (int64_t row = first_block * kBlockRows; row < end; row += kBlockRows) {
    const int64_t rows = std::min(kBlockRows, end - row);
    blas::brgemm(rows, kColumns, k, k, kColumns, kColumns, /*add_C=*/false,
                 o.x_RK.const_data_ptr<T>() + row * k, packed, tile.data(),
                 /*is_vnni=*/o.x_RK.scalar_type() == at::kBFloat16);
    if (store == nullptr) continue;
    for (int64_t r = 0; r < rows; ++r)
      std::copy_n(tile.data() + r * kColumns, kColumns, store + (row + r) * o.out + column);
  }
  blas::brgemm_release();
}

void multiply(ThreadPool& pool, const Operands& o, float* store) {
  const int64_t columns = o.out / kColumns;
  const int64_t groups = ceil_div(o.x_RK.size(0), kBlockRows * kBlocksPerTask);
  pool.run(groups * columns, [&](int64_t task) {
    const int64_t column = task % columns * kColumns;
    const int64_t first_block = task / columns * kBlocksPerTask;
    if (o.x_RK.scalar_type() == at::kFloat) {
      multiply_tiles<float>(o, column, first_block, store);
    } else {
      multiply_tiles<at::BFloat16>(o, column, first_block, store);
    }
  });
}

}  // namespace

BenchCase brgemm_case(const CaseArguments& a, ThreadPool& pool) {
  const int64_t rows = a.number("rows"), in = a.number("in"), out = a.number("out");
  const Operands operands{.x_RK = bench_input("x", {rows, in}, a.dtype()),
                          .packed = packed_tiles(bench_input("weight", {out, in}, a.dtype())),
                          .bias_N = bench_input("bias", {out}, a.dtype()),
                          .out = out};
  return {.flops = 2.0 * static_cast<double>(rows * in * out),
          .iterate =
              [operands, &pool] {
                multiply(pool, operands, /*store=*/nullptr);
                return at::Tensor();
              },
          .result =
              [operands, &pool] {
                at::Tensor y_RN = at::empty({operands.x_RK.size(0), operands.out}, at::kFloat);
                multiply(pool, operands, y_RN.mutable_data_ptr<float>());
                return y_RN.add_(operands.bias_N);
              }};
}

}  // namespace cogvx::bench
