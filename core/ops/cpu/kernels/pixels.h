#pragma once

#include "core/ops/cpu/kernels.h"
#include "core/ops/cpu/kernels/simd.h"

namespace cogvx::cpu {
namespace {

// So many pixels are summed in fp32, twice while they lie in the cache.
constexpr int64_t kSummedPixels = 64;
constexpr int64_t kSummedChannels = 256;

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
    over(channels, [&](auto at) {
      store(mean + at.begin, load(mean + at.begin) + at.of(x + p * c.channels));
    });
  }
  const Vec factor = fill(1.0f / static_cast<float>(pixels));
  for (int64_t i = 0; i < kSummedChannels; i += kLanes) store(mean + i, load(mean + i) * factor);
  for (int64_t p = 0; p < pixels; ++p) {
    over(channels, [&](auto at) {
      const int64_t i = at.begin;
      const Vec d = at.of(x + p * c.channels) - load(mean + i);
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
  over(c.channels, [&](auto at) {
    const Vec mean = at.of(c.mean);
    Vec factor = at.of(c.factor), offset = at.of(c.offset);
    if constexpr (kModulated) {
      const Vec scale = at.of(c.scale);
      factor = factor * scale;
      offset = multiply_add(offset, scale, at.of(c.shift));
    }
    for (int64_t p = 0; p < c.pixels; ++p) {
      const int64_t row = p * c.channels;
      at.put(c.y + row, silu_of(multiply_add(at.of(c.x + row) - mean, factor, offset)));
    }
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
