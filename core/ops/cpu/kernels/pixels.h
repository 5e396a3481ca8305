#pragma once

#include "core/ops/cpu/kernels.h"
#include "core/ops/cpu/kernels/rows.h"
#include "core/ops/cpu/kernels/simd.h"

namespace cogvx::cpu {
namespace {

// So many pixels are summed in fp32, twice while they lie in the cache.
constexpr int64_t kSummedPixels = 64;
constexpr int64_t kSummedChannels = 256;

template <typename F>
COGVX_INLINE void over_padded(int64_t count, const F& vector) {
  for (int64_t i = 0; i < count; i += kLanes) vector(i, count - i);
}

template <typename T>
COGVX_INLINE Vec load_up_to(const T* from, int64_t count) {
  return count >= kLanes ? load(from) : load_part(from, count);
}

// The mean first, then what is left of it and the squares around it.
template <typename T>
COGVX_INLINE void sum_block(const ChannelSums<T>& c, int64_t first, int64_t channel) {
  const int64_t pixels = c.pixels - first < kSummedPixels ? c.pixels - first : kSummedPixels;
  const int64_t left = c.channels - channel;
  const int64_t channels = left < kSummedChannels ? left : kSummedChannels;
  alignas(64) float mean[kSummedChannels] = {};
  alignas(64) float rest[kSummedChannels] = {};
  alignas(64) float squares[kSummedChannels] = {};
  const T* x = c.x + first * c.channels + channel;
  for (int64_t p = 0; p < pixels; ++p) {
    over_padded(channels, [&](int64_t i, int64_t n) {
      store(mean + i, load(mean + i) + load_up_to(x + p * c.channels + i, n));
    });
  }
  const Vec factor = fill(1.0f / static_cast<float>(pixels));
  for (int64_t i = 0; i < kSummedChannels; i += kLanes) store(mean + i, load(mean + i) * factor);
  for (int64_t p = 0; p < pixels; ++p) {
    over_padded(channels, [&](int64_t i, int64_t n) {
      const Vec d = load_up_to(x + p * c.channels + i, n) - load(mean + i);
      store(rest + i, load(rest + i) + d);
      store(squares + i, multiply_add(d, d, load(squares + i)));
    });
  }
  for (int64_t i = 0; i < channels; ++i) {
    const double m = mean[i], r = rest[i], n = static_cast<double>(pixels);
    c.sums[channel + i] += n * m + r;
    c.squares[channel + i] += squares[i] + 2 * m * r + n * m * m;
  }
}

template <typename T>
void channel_sums(const ChannelSums<T>& c) {
  for (int64_t p = 0; p < c.pixels; p += kSummedPixels) {
    for (int64_t i = 0; i < c.channels; i += kSummedChannels) sum_block(c, p, i);
  }
}

// Channel by channel over all pixels, for what belongs to a channel to stay in registers.
template <bool kModulated, typename T>
COGVX_INLINE void norm_silu_of(const NormSiluPixels<T>& c) {
  const auto run = [&](const auto& load_at, const auto& store_at) {
    const Vec mean = load_at(c.mean);
    Vec factor = load_at(c.factor), offset = load_at(c.offset);
    if constexpr (kModulated) {
      const Vec scale = load_at(c.scale);
      factor = factor * scale;
      offset = multiply_add(offset, scale, load_at(c.shift));
    }
    for (int64_t p = 0; p < c.pixels; ++p) {
      const int64_t at = p * c.channels;
      store_at(c.y + at, silu_of(multiply_add(load_at(c.x + at) - mean, factor, offset)));
    }
  };
  over(
      c.channels,
      [&](int64_t i) {
        run([&](const auto* from) { return load(from + i); },
            [&](T* to, Vec x) { store(to + i, x); });
      },
      [&](int64_t i, int64_t n) {
        run([&](const auto* from) { return load_part(from + i, n); },
            [&](T* to, Vec x) { store_part(to + i, x, n); });
      });
}

template <typename T>
void norm_silu_pixels(const NormSiluPixels<T>& call) {
  if (call.scale != nullptr) {
    norm_silu_of<true>(call);
  } else {
    norm_silu_of<false>(call);
  }
}

}  // namespace
}  // namespace cogvx::cpu
