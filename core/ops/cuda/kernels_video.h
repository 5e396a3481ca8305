#pragma once

#include "core/ops/cuda/kernels.h"
#include "core/ops/cuda/launch.h"
#include "core/ops/cuda/row_functions.h"

// Kernels on decoded video. T: the stored type; Memory: how it is reached.
namespace cogvx::cuda {

struct PlaneStrides {
  int64_t channel;
  int64_t frame;
  int64_t y;
  int64_t x;
};

COGVX_HOST_DEVICE inline int64_t offset(PlaneStrides s, int64_t c, int64_t t, int64_t y,
                                        int64_t x) {
  return c * s.channel + t * s.frame + y * s.y + x * s.x;
}

// Block (y, plane) takes one line of one frame of one channel.
template <typename T, typename Memory>
struct Blend {
  using Stored = T;
  static constexpr int kPhases = 1;
  static constexpr int kThreads = 128;

  typename Memory::template In<T> before;
  typename Memory::template Out<T> tile;
  PlaneStrides before_strides;
  PlaneStrides tile_strides;
  int64_t channels;
  int64_t frames;
  int64_t height;
  int64_t width;
  FadeAxis axis;

  Launch launch() const { return {width > 0 ? height : 0, channels * frames, kThreads, 0}; }

  template <int P, typename Shared>
  COGVX_HOST_DEVICE void phase(Spot spot, Shared) const {
    const int64_t c = spot.y / frames;
    const int64_t t = spot.y % frames;
    for (int64_t i = spot.thread; i < width; i += kThreads) {
      const int64_t to = offset(tile_strides, c, t, spot.x, i);
      const float old = read(before, offset(before_strides, c, t, spot.x, i));
      const bool down = axis == FadeAxis::kY;
      write(tile, to, faded<T>(old, read(tile, to), down ? spot.x : i, down ? height : width));
    }
  }
};

template <typename T, typename Memory>
Blend<T, Memory> make(const BlendCall& c, const Memory& memory) {
  const int64_t* b = c.before_strides;
  const int64_t* t = c.tile_strides;
  return {memory.template in<T>(c.before_CTYX),
          memory.template out<T>(c.tile_CTYX),
          {b[0], b[1], b[2], b[3]},
          {t[0], t[1], t[2], t[3]},
          c.channels,
          c.frames,
          c.height,
          c.width,
          c.axis};
}

// Block (y, frame) takes one line of one frame, a thread all three colours of a pixel.
template <typename T, typename Memory>
struct Rgb {
  using Stored = T;
  static constexpr int kPhases = 1;
  static constexpr int kThreads = 256;
  static constexpr int64_t kColours = 3;

  typename Memory::template In<T> x;
  typename Memory::template Out<uint8_t> rgb;
  PlaneStrides strides;
  int64_t frames;
  int64_t height;
  int64_t width;

  Launch launch() const { return {width > 0 ? height : 0, frames, kThreads, 0}; }

  template <int P, typename Shared>
  COGVX_HOST_DEVICE void phase(Spot spot, Shared) const {
    const int64_t line = (spot.y * height + spot.x) * width;
    for (int64_t i = spot.thread; i < width; i += kThreads) {
      for (int64_t c = 0; c < kColours; ++c) {
        const float value = read(x, offset(strides, c, spot.y, spot.x, i));
        write_byte(rgb, (line + i) * kColours + c, colour_byte<T>(value));
      }
    }
  }
};

template <typename T, typename Memory>
Rgb<T, Memory> make(const RgbCall& c, const Memory& memory) {
  return {memory.template in<T>(c.x_CTYX),
          memory.template out<uint8_t>(c.rgb_TYX3),
          {c.x_strides[0], c.x_strides[1], c.x_strides[2], 1},
          c.frames,
          c.height,
          c.width};
}

}  // namespace cogvx::cuda
