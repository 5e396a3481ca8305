#include "core/ops/cpu/gemm.h"

#include <ATen/native/CPUBlas.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>

namespace cogvx::cpu {
namespace {

namespace blas = at::native::cpublas;

constexpr int64_t kTileColumns = 64;
// Longer sums go in pieces of this many inputs, always from the first, so that a tile's operands
// stay in the cache.
constexpr int64_t kDepth = 1024;
// Row blocks that share one packed weight tile while it is in the cache; grouping does not change a
// unit.
constexpr int64_t kBlocksPerTask = 8;

void call_brgemm(const TileShape& s, const float* a, const float* b, float* c, bool add) {
  blas::brgemm(s.m, s.n, s.k, s.lda, s.ldb, s.ldc, add, a, b, c, /*is_vnni=*/false);
}
void call_brgemm(const TileShape& s, const Bf16* a, const Bf16* b, float* c, bool add) {
  blas::brgemm(s.m, s.n, s.k, s.lda, s.ldb, s.ldc, add, reinterpret_cast<const at::BFloat16*>(a),
               reinterpret_cast<const at::BFloat16*>(b), c, /*is_vnni=*/true);
}

template <typename T>
bool probe_brgemm() {
  alignas(64) std::array<T, 64 * 64> a{}, b{};
  alignas(64) std::array<float, 64 * 64> c{};
  try {
    call_brgemm({64, 64, 64, 64, 64, 64}, a.data(), b.data(), c.data(), false);
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

template <typename T>
bool has_brgemm() {
  static const bool has = probe_brgemm<T>();
  return has;
}

COGVX_KERNEL void plain_gemm(const TileShape& s, const float* a, const float* b, float* c,
                             bool add) {
  for (int64_t i = 0; i < s.m; ++i) {
    float* row = c + i * s.ldc;
    if (!add) std::fill(row, row + s.n, 0.0f);
    for (int64_t k = 0; k < s.k; ++k) {
      const float x = a[i * s.lda + k];
      const float* from = b + k * s.ldb;
      for (int64_t j = 0; j < s.n; ++j) row[j] += x * from[j];
    }
  }
}

COGVX_KERNEL void plain_gemm(const TileShape& s, const Bf16* a, const Bf16* b, float* c, bool add) {
  for (int64_t i = 0; i < s.m; ++i) {
    float* row = c + i * s.ldc;
    if (!add) std::fill(row, row + s.n, 0.0f);
    for (int64_t k = 0; k < s.k; k += 2) {
      const float x0 = load(a[i * s.lda + k]);
      const float x1 = load(a[i * s.lda + k + 1]);
      const Bf16* from = b + k * s.ldb;
      for (int64_t j = 0; j < s.n; ++j)
        row[j] += x0 * load(from[2 * j]) + x1 * load(from[2 * j + 1]);
    }
  }
}

template <typename T>
void run_gemm_tile(const TileShape& shape, const T* a, const T* b, float* c, bool add) {
  if (has_brgemm<T>()) {
    call_brgemm(shape, a, b, c, add);
  } else {
    plain_gemm(shape, a, b, c, add);
  }
}

template <Activation kActivation, typename T>
COGVX_INLINE void finish_rows(const float* c, const float* bias, int64_t rows, int64_t columns,
                              T* y, int64_t ldy) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      float x = c[i * kTileColumns + j] + bias[j];
      if (kActivation == Activation::kSilu) x = silu_f32(x);
      if (kActivation == Activation::kGeluTanh) x = gelu_tanh_f32(x);
      store(y[i * ldy + j], x);
    }
  }
}

template <typename T>
COGVX_INLINE void finish_tile_any(Activation activation, const float* c, const float* bias,
                                  int64_t rows, int64_t columns, T* y, int64_t ldy) {
  switch (activation) {
    case Activation::kNone:
      return finish_rows<Activation::kNone>(c, bias, rows, columns, y, ldy);
    case Activation::kSilu:
      return finish_rows<Activation::kSilu>(c, bias, rows, columns, y, ldy);
    case Activation::kGeluTanh:
      return finish_rows<Activation::kGeluTanh>(c, bias, rows, columns, y, ldy);
  }
}

COGVX_KERNEL void finish_tile(Activation activation, const float* c, const float* bias,
                              int64_t rows, int64_t columns, float* y, int64_t ldy) {
  finish_tile_any(activation, c, bias, rows, columns, y, ldy);
}
COGVX_KERNEL void finish_tile(Activation activation, const float* c, const float* bias,
                              int64_t rows, int64_t columns, Bf16* y, int64_t ldy) {
  finish_tile_any(activation, c, bias, rows, columns, y, ldy);
}

std::vector<RowRange> row_blocks(int64_t first_row, int64_t rows) {
  std::vector<RowRange> blocks;
  for (int64_t at = 0; at < rows;) {
    const int64_t end = std::min(rows, at + kBlockRows - (first_row + at) % kBlockRows);
    blocks.push_back({at, end});
    at = end;
  }
  return blocks;
}

template <typename T>
void linear_typed(ThreadPool& pool, const at::Tensor& x_RK, const LinearWeights& w,
                  const LinearCall& call, at::Tensor& y_RN) {
  const auto* x = static_cast<const T*>(x_RK.const_data_ptr());
  const auto* packed = static_cast<const T*>(w.packed.const_data_ptr());
  auto* y = static_cast<T*>(y_RN.mutable_data_ptr());
  static const std::array<float, kTileColumns> no_bias{};
  const float* bias = w.bias.defined() ? w.bias.const_data_ptr<float>() : nullptr;

  const std::vector<RowRange> blocks = row_blocks(call.first_row, x_RK.size(0));
  const int64_t tiles = ceil_div(w.out, kTileColumns);
  const int64_t groups = ceil_div(static_cast<int64_t>(blocks.size()), kBlocksPerTask);
  pool.run(tiles * groups, [&](int64_t task) {
    const int64_t column = task % tiles * kTileColumns;
    const int64_t columns = std::min(kTileColumns, w.out - column);
    const int64_t first = task / tiles * kBlocksPerTask;
    const int64_t last = std::min<int64_t>(first + kBlocksPerTask, blocks.size());
    alignas(64) std::array<float, kBlockRows * kTileColumns> c;
    for (int64_t i = first; i < last; ++i) {
      const RowRange block = blocks[i];
      for (int64_t k = 0; k < w.in; k += kDepth) {
        gemm_tile({block.size(), columns, std::min(kDepth, w.in - k), w.in, columns, kTileColumns},
                  x + block.begin * w.in + k, packed + column * w.in + k * columns, c.data(),
                  /*add=*/k > 0);
      }
      finish_tile(call.activation, c.data(), bias != nullptr ? bias + column : no_bias.data(),
                  block.size(), columns, y + block.begin * w.out + column, w.out);
    }
    gemm_done();
  });
}

template <typename T>
void pack_linear_typed(const at::Tensor& weight_NK, at::Tensor& packed) {
  const int64_t n = weight_NK.size(0);
  const int64_t k = weight_NK.size(1);
  const auto* from = static_cast<const T*>(weight_NK.const_data_ptr());
  auto* to = static_cast<T*>(packed.mutable_data_ptr());
  for (int64_t column = 0; column < n; column += kTileColumns) {
    const int64_t columns = std::min(kTileColumns, n - column);
    pack_transposed(from + column * k, k, columns, k, to + column * k, columns);
  }
}

}  // namespace

void gemm_tile(const TileShape& shape, const float* a, const float* b, float* c, bool add) {
  run_gemm_tile(shape, a, b, c, add);
}
void gemm_tile(const TileShape& shape, const Bf16* a, const Bf16* b, float* c, bool add) {
  run_gemm_tile(shape, a, b, c, add);
}

void gemm_done() {
  if (has_brgemm<Bf16>()) blas::brgemm_release();
}

void pack_transposed(const float* from, int64_t ld_from, int64_t n, int64_t k, float* to,
                     int64_t ldb) {
  for (int64_t i = 0; i < k; ++i) {
    for (int64_t j = 0; j < n; ++j) to[i * ldb + j] = from[j * ld_from + i];
  }
}

void pack_transposed(const Bf16* from, int64_t ld_from, int64_t n, int64_t k, Bf16* to,
                     int64_t ldb) {
  for (int64_t i = 0; i < k; i += 2) {
    for (int64_t j = 0; j < n; ++j) {
      std::memcpy(to + i * ldb + 2 * j, from + j * ld_from + i, 2 * sizeof(Bf16));
    }
  }
}

void pack_rows(const float* from, int64_t ld_from, int64_t k, int64_t n, float* to, int64_t ldb) {
  for (int64_t i = 0; i < k; ++i) std::copy_n(from + i * ld_from, n, to + i * ldb);
}

void pack_rows(const Bf16* from, int64_t ld_from, int64_t k, int64_t n, Bf16* to, int64_t ldb) {
  for (int64_t i = 0; i < k; i += 2) {
    for (int64_t j = 0; j < n; ++j) {
      to[i * ldb + 2 * j] = from[i * ld_from + j];
      to[i * ldb + 2 * j + 1] = i + 1 < k ? from[(i + 1) * ld_from + j] : Bf16{0};
    }
  }
}

LinearWeights pack_linear(const at::Tensor& weight_NK, const at::Tensor& bias_N) {
  const at::ScalarType dtype = weight_NK.scalar_type();
  if (dtype != at::kFloat && dtype != at::kBFloat16)
    throw std::logic_error("linear weights must be fp32 or bf16");
  if (weight_NK.size(1) % 2 != 0)
    throw std::logic_error("a linear layer needs an even number of inputs");
  LinearWeights w{.in = weight_NK.size(1), .out = weight_NK.size(0), .dtype = dtype};
  w.packed = at::empty({w.out * w.in}, weight_NK.options());
  const at::Tensor plain = weight_NK.contiguous();
  if (dtype == at::kFloat) {
    pack_linear_typed<float>(plain, w.packed);
  } else {
    pack_linear_typed<Bf16>(plain, w.packed);
  }
  if (bias_N.defined()) w.bias = bias_N.to(at::kFloat).contiguous();
  return w;
}

at::Tensor linear(ThreadPool& pool, const at::Tensor& x_RK, const LinearWeights& w,
                  const LinearCall& call) {
  if (x_RK.dim() != 2 || x_RK.size(1) != w.in || x_RK.scalar_type() != w.dtype) {
    throw std::logic_error("linear: x is " + shape_text(x_RK.sizes()) + ", weights want [R," +
                           std::to_string(w.in) + "]");
  }
  const at::Tensor x = x_RK.contiguous();
  at::Tensor y_RN = at::empty({x.size(0), w.out}, x.options());
  if (w.dtype == at::kFloat) {
    linear_typed<float>(pool, x, w, call, y_RN);
  } else {
    linear_typed<Bf16>(pool, x, w, call, y_RN);
  }
  return y_RN;
}

}  // namespace cogvx::cpu
