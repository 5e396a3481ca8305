#pragma once

#include "core/ops/cpu/kernels.h"
#include "core/ops/cpu/kernels/simd.h"

namespace cogvx::cpu {
namespace {

// Each element is one accumulator that takes k in order, so the sizes of a block cannot be seen in
// its bytes; they are those that keep both multipliers busy with the registers there are.
template <typename T>
struct BlockSize;
#if defined(__AVX512BF16__)
template <>
struct BlockSize<Bf16> {
  static constexpr int kRows = 6, kVectors = 4;
};
#elif defined(__AVX512F__)
template <>
struct BlockSize<Bf16> {
  static constexpr int kRows = 8, kVectors = 2;
};
#elif defined(__AVX2__)
template <>
struct BlockSize<Bf16> {
  static constexpr int kRows = 4, kVectors = 2;
};
#else
template <>
struct BlockSize<Bf16> {
  static constexpr int kRows = 2, kVectors = 1;
};
#endif
template <>
struct BlockSize<float> {
#if defined(__AVX512F__)
  static constexpr int kRows = 8, kVectors = 2;
#elif defined(__AVX2__)
  static constexpr int kRows = 6, kVectors = 2;
#else
  static constexpr int kRows = 2, kVectors = 1;
#endif
};

template <int kRows, int kVectors>
COGVX_INLINE void step(Vec (&sum)[kRows][kVectors], const float* const* a_rows, int64_t k,
                       const float* b) {
  Vec b_row[kVectors];
  for (int j = 0; j < kVectors; ++j) b_row[j] = load(b + j * kLanes);
  for (int i = 0; i < kRows; ++i) {
    const Vec a = fill(a_rows[i][k]);
    for (int j = 0; j < kVectors; ++j) sum[i][j] = multiply_add(a, b_row[j], sum[i][j]);
  }
}

template <int kRows, int kVectors>
COGVX_INLINE void step(Vec (&sum)[kRows][kVectors], const Bf16* const* a_rows, int64_t k,
                       const Bf16* b) {
#if defined(__AVX512BF16__)
  Pairs b_row[kVectors];
  for (int j = 0; j < kVectors; ++j) b_row[j] = load_pairs(b + 2 * j * kLanes);
  for (int i = 0; i < kRows; ++i) {
    const Pairs a = fill_pairs(a_rows[i] + k);
    for (int j = 0; j < kVectors; ++j) sum[i][j] = add_products(sum[i][j], a, b_row[j]);
  }
#else
  Vec b_first[kVectors], b_second[kVectors];
  for (int j = 0; j < kVectors; ++j) {
    const Pairs b_row = load_pairs(b + 2 * j * kLanes);
    b_first[j] = first_of(b_row);
    b_second[j] = second_of(b_row);
  }
  for (int i = 0; i < kRows; ++i) {
    const Pairs a = fill_pairs(a_rows[i] + k);
    const Vec a_first = first_of(a), a_second = second_of(a);
    for (int j = 0; j < kVectors; ++j) sum[i][j] = multiply_add(a_first, b_first[j], sum[i][j]);
    for (int j = 0; j < kVectors; ++j) sum[i][j] = multiply_add(a_second, b_second[j], sum[i][j]);
  }
#endif
}

template <typename T, int kRows, int kVectors>
COGVX_INLINE void multiply_block(const GemmCall<T>& call, int64_t row, int64_t column) {
  // Elements of a row of B that one step takes, and along K.
  constexpr int kPack = sizeof(T) == 2 ? 2 : 1;
  const T* a_rows[kRows];
  for (int i = 0; i < kRows; ++i) a_rows[i] = call.a_rows[row + i] + call.a_offset;
  float* c = call.c + row * call.ldc + column;
  Vec sum[kRows][kVectors];
  for (int i = 0; i < kRows; ++i) {
    for (int j = 0; j < kVectors; ++j)
      sum[i][j] = call.add ? load(c + i * call.ldc + j * kLanes) : zero();
  }
  const T* b = call.b + column * kPack;
  for (int64_t k = 0; k < call.k; k += kPack, b += call.ldb * kPack)
    step<kRows, kVectors>(sum, a_rows, k, b);
  for (int i = 0; i < kRows; ++i) {
    for (int j = 0; j < kVectors; ++j) store(c + i * call.ldc + j * kLanes, sum[i][j]);
  }
}

// The rows that whole blocks leave over.
template <typename T, int kRows, int kVectors>
COGVX_INLINE void multiply_rest(const GemmCall<T>& call, int64_t row, int64_t column) {
  if constexpr (kRows > 0) {
    if (call.m - row == kRows) {
      multiply_block<T, kRows, kVectors>(call, row, column);
    } else {
      multiply_rest<T, kRows - 1, kVectors>(call, row, column);
    }
  }
}

template <typename T, int kVectors>
void multiply_columns(const GemmCall<T>& call, int64_t column) {
  constexpr int kRows = BlockSize<T>::kRows;
  int64_t row = 0;
  for (; row + kRows <= call.m; row += kRows) multiply_block<T, kRows, kVectors>(call, row, column);
  multiply_rest<T, kRows - 1, kVectors>(call, row, column);
}

template <typename T>
void gemm(const GemmCall<T>& call) {
  constexpr int kVectors = BlockSize<T>::kVectors;
  constexpr int kFewer = kColumnStep / kLanes;
  int64_t column = 0;
  for (; column + kVectors * kLanes <= call.n; column += kVectors * kLanes)
    multiply_columns<T, kVectors>(call, column);
  for (; column < call.n; column += kColumnStep) multiply_columns<T, kFewer>(call, column);
}

template <Activation kActivation, bool kGated, typename T>
COGVX_INLINE void finish_rows(const FinishCall<T>& call) {
  for (int64_t i = 0; i < call.rows; ++i) {
    const float* c = call.c + i * call.ldc;
    T* y = call.y + i * call.ldy;
    over(call.columns, [&](auto at) {
      // c has room for whole vectors.
      Vec x = load(c + at.begin) + (call.bias != nullptr ? at.of(call.bias) : zero());
      if constexpr (kActivation == Activation::kSilu) x = silu_of(x);
      if constexpr (kActivation == Activation::kGeluTanh) x = gelu_tanh_of(x);
      if constexpr (kGated) x = multiply_add(at.of(call.gate), x, at.of(y));
      at.put(y, x);
    });
  }
}

template <Activation kActivation, typename T>
COGVX_INLINE void finish_gated(const FinishCall<T>& call) {
  if (call.gate != nullptr) {
    finish_rows<kActivation, true>(call);
  } else {
    finish_rows<kActivation, false>(call);
  }
}

template <typename T>
void finish(const FinishCall<T>& call) {
  switch (call.activation) {
    case Activation::kNone:
      return finish_gated<Activation::kNone>(call);
    case Activation::kSilu:
      return finish_gated<Activation::kSilu>(call);
    case Activation::kGeluTanh:
      return finish_gated<Activation::kGeluTanh>(call);
  }
}

}  // namespace
}  // namespace cogvx::cpu
