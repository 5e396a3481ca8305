#pragma once

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include <cstdint>

#include "core/ops/cpu/storage.h"
#include "core/ops/cpu/vector_math.h"

// Vectors of the instruction set that the including file is compiled for. Everything is in an
// unnamed namespace and no template of the standard library is used: a copy of such a function made
// here could be linked into code that runs on any CPU.
namespace cogvx::cpu {
namespace {

#if defined(__AVX512F__)

constexpr int kLanes = 16;
using Vec = __m512;
using Ints = __m512i;

COGVX_INLINE Vec zero() { return _mm512_setzero_ps(); }
COGVX_INLINE Vec fill(float x) { return _mm512_set1_ps(x); }
COGVX_INLINE Vec load(const float* from) { return _mm512_loadu_ps(from); }
COGVX_INLINE Vec load(const Bf16* from) {
  const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  // With masks of all lanes: GCC 12 takes the undefined operand of the plain ones for a mistake.
  constexpr __mmask16 kAll = 0xffff;
  return _mm512_castsi512_ps(
      _mm512_maskz_slli_epi32(kAll, _mm512_maskz_cvtepu16_epi32(kAll, half), 16));
}
COGVX_INLINE void store(float* to, Vec x) { _mm512_storeu_ps(to, x); }
COGVX_INLINE void store(Bf16* to, Vec x) {
#if defined(__AVX512BF16__)
  const auto half = (__m256i)_mm512_cvtneps_pbh(x);
#else
  const Ints bits = _mm512_castps_si512(x);
  const Ints odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const Ints rounded = _mm512_srli_epi32(
      _mm512_add_epi32(_mm512_add_epi32(bits, odd), _mm512_set1_epi32(0x7fff)), 16);
  const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
  const __m256i half =
      _mm512_cvtepi32_epi16(_mm512_mask_mov_epi32(rounded, nan, _mm512_set1_epi32(0x7fc0)));
#endif
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), half);
}
COGVX_INLINE Vec multiply_add(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
// Not the NaN of `a`, but that of `b`.
COGVX_INLINE Vec larger(Vec a, Vec b) { return _mm512_max_ps(a, b); }
COGVX_INLINE Vec smaller(Vec a, Vec b) { return _mm512_min_ps(a, b); }
COGVX_INLINE Vec nearest_whole(Vec x) {
  return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
// x * 2^whole for a whole number from -150 to 128
COGVX_INLINE Vec scale_by_power(Vec x, Vec whole) { return _mm512_scalef_ps(x, whole); }
// Neighbours a0 b0 a1 b1... -> b0 a0 b1 a1...
COGVX_INLINE Vec swap_neighbours(Vec x) { return _mm512_permute_ps(x, 0xb1); }
COGVX_INLINE Vec negate_even(Vec x) {
  const Ints sign = _mm512_set1_epi64(0x80000000LL);
  return _mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(x), sign));
}

// A pair of bf16 in each lane.
using Pairs = __m512i;
COGVX_INLINE Pairs load_pairs(const Bf16* from) { return _mm512_loadu_si512(from); }
COGVX_INLINE Pairs fill_pairs(const Bf16* pair) {
  int32_t bits;
  __builtin_memcpy(&bits, pair, sizeof(bits));
  return _mm512_set1_epi32(bits);
}
COGVX_INLINE Vec first_of(Pairs x) { return _mm512_castsi512_ps(_mm512_slli_epi32(x, 16)); }
COGVX_INLINE Vec second_of(Pairs x) {
  return _mm512_castsi512_ps(_mm512_and_si512(x, _mm512_set1_epi32(static_cast<int>(0xffff0000U))));
}
#if defined(__AVX512BF16__)
COGVX_INLINE Vec add_products(Vec sum, Pairs a, Pairs b) {
  return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
}
#endif

#elif defined(__AVX2__)

constexpr int kLanes = 8;
using Vec = __m256;
using Ints = __m256i;

COGVX_INLINE Vec zero() { return _mm256_setzero_ps(); }
COGVX_INLINE Vec fill(float x) { return _mm256_set1_ps(x); }
COGVX_INLINE Vec load(const float* from) { return _mm256_loadu_ps(from); }
COGVX_INLINE Vec load(const Bf16* from) {
  const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}
COGVX_INLINE void store(float* to, Vec x) { _mm256_storeu_ps(to, x); }
COGVX_INLINE void store(Bf16* to, Vec x) {
  const Ints bits = _mm256_castps_si256(x);
  const Ints odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const Ints rounded = _mm256_srli_epi32(
      _mm256_add_epi32(_mm256_add_epi32(bits, odd), _mm256_set1_epi32(0x7fff)), 16);
  const Ints nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
  const Ints kept = _mm256_blendv_epi8(rounded, _mm256_set1_epi32(0x7fc0), nan);
  const Ints packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(kept, kept), 0x08);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_castsi256_si128(packed));
}
COGVX_INLINE Vec multiply_add(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
// Not the NaN of `a`, but that of `b`.
COGVX_INLINE Vec larger(Vec a, Vec b) { return _mm256_max_ps(a, b); }
COGVX_INLINE Vec smaller(Vec a, Vec b) { return _mm256_min_ps(a, b); }
COGVX_INLINE Vec nearest_whole(Vec x) {
  return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
// x * 2^whole for a whole number from -150 to 128, in two factors, for 2^128 and 2^-127 do not fit
// one.
COGVX_INLINE Vec scale_by_power(Vec x, Vec whole) {
  const Ints all = _mm256_cvtps_epi32(whole);
  const Ints half = _mm256_srai_epi32(all, 1);
  const auto power = [](Ints e) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(e, _mm256_set1_epi32(127)), 23));
  };
  return x * power(half) * power(_mm256_sub_epi32(all, half));
}
// Neighbours a0 b0 a1 b1... -> b0 a0 b1 a1...
COGVX_INLINE Vec swap_neighbours(Vec x) { return _mm256_permute_ps(x, 0xb1); }
COGVX_INLINE Vec negate_even(Vec x) {
  const Ints sign = _mm256_set1_epi64x(0x80000000LL);
  return _mm256_castsi256_ps(_mm256_xor_si256(_mm256_castps_si256(x), sign));
}

// A pair of bf16 in each lane.
using Pairs = __m256i;
COGVX_INLINE Pairs load_pairs(const Bf16* from) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}
COGVX_INLINE Pairs fill_pairs(const Bf16* pair) {
  int32_t bits;
  __builtin_memcpy(&bits, pair, sizeof(bits));
  return _mm256_set1_epi32(bits);
}
COGVX_INLINE Vec first_of(Pairs x) { return _mm256_castsi256_ps(_mm256_slli_epi32(x, 16)); }
COGVX_INLINE Vec second_of(Pairs x) {
  return _mm256_castsi256_ps(_mm256_and_si256(x, _mm256_set1_epi32(static_cast<int>(0xffff0000U))));
}

#else

// Any CPU, without fused multiply-add (the build says so): a GPU's kernels are checked against it
// bit by bit.
constexpr int kLanes = 16;
typedef float Vec __attribute__((vector_size(64)));
typedef int32_t Ints __attribute__((vector_size(64)));
typedef uint32_t Pairs __attribute__((vector_size(64)));  // of bf16 in each lane

COGVX_INLINE Vec zero() { return Vec{}; }
COGVX_INLINE Vec fill(float x) { return Vec{} + x; }
COGVX_INLINE Vec load(const float* from) {
  Vec x;
  __builtin_memcpy(&x, from, sizeof(x));
  return x;
}
COGVX_INLINE Vec load(const Bf16* from) {
  Vec x;
  for (int l = 0; l < kLanes; ++l) x[l] = cpu::load(from[l]);
  return x;
}
COGVX_INLINE void store(float* to, Vec x) { __builtin_memcpy(to, &x, sizeof(x)); }
COGVX_INLINE void store(Bf16* to, Vec x) {
  for (int l = 0; l < kLanes; ++l) cpu::store(to[l], x[l]);
}
COGVX_INLINE Vec multiply_add(Vec a, Vec b, Vec c) { return a * b + c; }
// Not the NaN of `a`, but that of `b`.
COGVX_INLINE Vec larger(Vec a, Vec b) { return a > b ? a : b; }
COGVX_INLINE Vec smaller(Vec a, Vec b) { return a < b ? a : b; }
COGVX_INLINE Vec nearest_whole(Vec x) {
  const Vec rounder = fill(12582912.0f);  // 1.5 * 2^23: adding it rounds to a whole number
  return (x + rounder) - rounder;
}
// x * 2^whole for a whole number from -150 to 129, in two factors, for 2^128 and 2^-127 do not fit
// one.
COGVX_INLINE Vec scale_by_power(Vec x, Vec whole) {
  const Ints all = __builtin_convertvector(whole, Ints);
  const Ints half = all >> 1;
  return x * (Vec)((half + 127) << 23) * (Vec)((all - half + 127) << 23);
}
// Neighbours a0 b0 a1 b1... -> b0 a0 b1 a1...
COGVX_INLINE Vec swap_neighbours(Vec x) {
  Vec y;
  for (int l = 0; l < kLanes; ++l) y[l] = x[l ^ 1];
  return y;
}
COGVX_INLINE Vec negate_even(Vec x) {
  for (int l = 0; l < kLanes; l += 2) x[l] = -x[l];
  return x;
}
COGVX_INLINE Pairs load_pairs(const Bf16* from) {
  Pairs x;
  __builtin_memcpy(&x, from, sizeof(x));
  return x;
}
COGVX_INLINE Pairs fill_pairs(const Bf16* pair) {
  uint32_t bits;
  __builtin_memcpy(&bits, pair, sizeof(bits));
  return Pairs{} + bits;
}
COGVX_INLINE Vec first_of(Pairs x) { return (Vec)(x << 16); }
COGVX_INLINE Vec second_of(Pairs x) { return (Vec)(x & 0xffff0000U); }

#endif

// The first `count` elements, zeros behind them.
template <typename T>
COGVX_INLINE Vec load_part(const T* from, int64_t count) {
  T part[kLanes] = {};
  __builtin_memcpy(part, from, sizeof(T) * count);
  return load(part);
}
template <typename T>
COGVX_INLINE void store_part(T* to, Vec x, int64_t count) {
  T part[kLanes];
  store(part, x);
  __builtin_memcpy(to, part, sizeof(T) * count);
}

// One vector's place in a row: all of its lanes...
struct WholeVector {
  int64_t begin;
  template <typename T>
  COGVX_INLINE Vec of(const T* row) const {
    return load(row + begin);
  }
  template <typename T>
  COGVX_INLINE void put(T* row, Vec x) const {
    store(row + begin, x);
  }
  COGVX_INLINE Vec only(Vec x) const { return x; }
};
// ... or the first `count` at the row's end, with zeros behind them.
struct PartOfVector {
  int64_t begin;
  int64_t count;
  template <typename T>
  COGVX_INLINE Vec of(const T* row) const {
    return load_part(row + begin, count);
  }
  template <typename T>
  COGVX_INLINE void put(T* row, Vec x) const {
    store_part(row + begin, x, count);
  }
  COGVX_INLINE Vec only(Vec x) const {
    float lanes[kLanes];
    store(lanes, x);
    return load_part(lanes, count);
  }
};

// Calls f with the place of each vector of a row.
template <typename F>
COGVX_INLINE void over(int64_t count, const F& f) {
  int64_t begin = 0;
  for (; begin + kLanes <= count; begin += kLanes) f(WholeVector{begin});
  if (begin < count) f(PartOfVector{begin, count - begin});
}

// Sums and maxima over lanes, always in this order.
template <typename Join>
COGVX_INLINE float join_lanes(Vec x, const Join& join) {
  float lanes[kLanes];
  store(lanes, x);
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int l = 0; l < half; ++l) lanes[l] = join(lanes[l], lanes[l + half]);
  }
  return lanes[0];
}
COGVX_INLINE float sum_of(Vec x) {
  return join_lanes(x, [](float a, float b) { return a + b; });
}
COGVX_INLINE float maximum_of(Vec x) {
  return join_lanes(x, [](float a, float b) { return a > b ? a : b; });
}

// 2^x to about 1 ulp; 0 below -149.5, infinity from 128 on; NaN stays NaN.
COGVX_INLINE Vec exp2_of(Vec x) {
  x = smaller(fill(129.0f), larger(fill(-150.0f), x));
  const Vec whole = nearest_whole(x);
  const Vec r = x - whole;
  Vec p = fill(1.5403530e-4f);
  p = multiply_add(p, r, fill(1.3333558e-3f));
  p = multiply_add(p, r, fill(9.6181291e-3f));
  p = multiply_add(p, r, fill(5.5504109e-2f));
  p = multiply_add(p, r, fill(2.4022651e-1f));
  p = multiply_add(p, r, fill(6.9314718e-1f));
  p = multiply_add(p, r, fill(1.0f));
  return scale_by_power(p, whole);
}

constexpr float kLog2E = 1.44269504088896341f;

#if defined(__AVX2__)
// x / (1 + e^-x)
COGVX_INLINE Vec silu_of(Vec x) { return x / (fill(1.0f) + exp2_of(x * fill(-kLog2E))); }
// GELU in its tanh form, 0.5 x (1 + tanh(u)) = x / (1 + e^(-2u)).
COGVX_INLINE Vec gelu_tanh_of(Vec x) {
  constexpr float kSqrt2OverPi = 0.7978845608028654f;
  const Vec u = x * multiply_add(x * x, fill(0.044715f), fill(1.0f));
  return x / (fill(1.0f) + exp2_of(u * fill(-2.0f * kSqrt2OverPi * kLog2E)));
}
#else
COGVX_INLINE Vec silu_of(Vec x) {
  for (int l = 0; l < kLanes; ++l) x[l] = silu_f32(x[l]);
  return x;
}
COGVX_INLINE Vec gelu_tanh_of(Vec x) {
  for (int l = 0; l < kLanes; ++l) x[l] = gelu_tanh_f32(x[l]);
  return x;
}
#endif

}  // namespace
}  // namespace cogvx::cpu
