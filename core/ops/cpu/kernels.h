#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/ops/activation.h"
#include "core/ops/cpu/storage.h"

// The inner loops of CpuOps over raw memory of float or Bf16, compiled once per instruction set.
// Arithmetic is fp32 with one rounding at the end. An element's bytes depend on its own operands
// and the path alone: never on how many rows or columns share the call.
namespace cogvx::cpu {

// A run uses one path throughout; bytes differ between paths, so the path is part of the Engine.
enum class CpuPath { kPlain, kAvx2, kAvx512, kAvx512Bf16 };
std::string path_name(CpuPath path);  // "plain", "avx2", "avx512", "avx512-bf16"
std::optional<CpuPath> find_path(std::string_view name);
// Of this CPU, best last.
std::vector<CpuPath> supported_paths();

// Columns of a packed matrix come in whole steps of so many, the last ones zeros.
constexpr int64_t kColumnStep = 16;
constexpr int64_t padded_columns(int64_t n) {
  return (n + kColumnStep - 1) / kColumnStep * kColumnStep;
}

// C_MN = A_MK B_KN, or += when `add`. Rows of A lie anywhere: row i begins at a_rows[i] + a_offset.
// B is packed: row k of float at b + k * ldb; of Bf16 in pairs along K, (k, k+1) of column j at
// b + (k / 2 * ldb + j) * 2, so that k is even. n is a multiple of kColumnStep.
template <typename T>
struct GemmCall {
  const T* const* a_rows;
  int64_t a_offset;
  const T* b;
  int64_t ldb;
  float* c;
  int64_t ldc;
  int64_t m, n, k;
  bool add;
};

// y = activation(c + bias), or y += gate * activation(c + bias); gate null: the former.
template <typename T>
struct FinishCall {
  const float* c;
  int64_t ldc;
  const float* bias;  // null: none
  const T* gate;
  Activation activation;
  int64_t rows, columns;
  T* y;
  int64_t ldy;
};

// One tile of keys in an online softmax: scores (rows of `ld`, room for padded_columns(keys)) ->
// probabilities relative to the new maximum, zeros up to padded_columns(keys). What was gathered
// under the old maximum (rows of `width`, a multiple of kColumnStep) shrinks to the new one.
template <typename T>
struct SoftmaxCall {
  float* scores;
  T* probabilities;
  int64_t ld;
  int64_t rows, keys;
  float scale;
  float* maximum;  // per row, of scores as they come, -infinity at first
  float* sum;      // per row
  float* gathered;
  int64_t width;
};

// y = (LayerNorm(x) * weight + bias) * (1 + scale) + shift over rows of `width`; scale and shift
// both null: left out.
template <typename T>
struct NormRows {
  const T* x;
  T* y;
  int64_t rows;
  int64_t width;
  const float* weight;
  const float* bias;
  float eps;
  const T* scale;
  const T* shift;
};

// x += gate * y
template <typename T>
struct GatedAddRows {
  T* x;
  const T* y;
  const T* gate;
  int64_t rows;
  int64_t width;
};

// One head's q or k (or, without a norm weight, v) of `rows` rows, taken from the projection and
// written where attention or the exchange wants it. cos and sin (fp32 [rows, width]) rotate
// neighbouring pairs; null: no rotation.
template <typename T>
struct HeadRows {
  const T* x;
  int64_t x_stride;
  T* y;
  int64_t y_stride;
  int64_t rows;
  int64_t width;
  const float* weight;
  const float* bias;
  float eps;
  const float* cos;
  const float* sin;
};

// Adds to `sums` and `squares`, for every channel of pixels that lie one behind the other.
template <typename T>
struct ChannelSums {
  const T* x;
  int64_t pixels, channels;
  double* sums;
  double* squares;
};

// y = silu(n), or silu(n * scale + shift), n = (x - mean) * factor + offset, all by channel; scale
// and shift both null: the former. y may be x.
template <typename T>
struct NormSiluPixels {
  const T* x;
  T* y;
  int64_t pixels, channels;
  const float* mean;
  const float* factor;
  const float* offset;
  const T* scale;
  const T* shift;
};

template <template <typename> class Call>
struct Kernel {
  void (*of_float)(const Call<float>&);
  void (*of_bf16)(const Call<Bf16>&);
  void operator()(const Call<float>& call) const { of_float(call); }
  void operator()(const Call<Bf16>& call) const { of_bf16(call); }
};

struct Kernels {
  Kernel<GemmCall> gemm;
  Kernel<FinishCall> finish;
  Kernel<SoftmaxCall> softmax;
  Kernel<NormRows> norm_rows;
  Kernel<GatedAddRows> gated_add_rows;
  Kernel<HeadRows> head_rows;
  Kernel<ChannelSums> channel_sums;
  Kernel<NormSiluPixels> norm_silu_pixels;
};
// Throws std::logic_error where this CPU has no such path.
const Kernels& kernels_of(CpuPath path);

}  // namespace cogvx::cpu
