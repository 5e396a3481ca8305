#pragma once

#include "core/ops/cuda/kernels.h"
#include "core/ops/cuda/launch.h"
#include "core/ops/cuda/row_functions.h"

// Kernels on rows of the joint sequence. T: the stored type; Memory: how it is reached.
namespace cogvx::cuda {

COGVX_HOST_DEVICE inline bool is_text(RowKinds kinds, int64_t row) {
  return kinds.first_row + row < kinds.text_rows;
}

// A team of 16 threads, one per lane, normalises one row; 16 teams share a block.
struct Teams {
  static constexpr int kTeams = 16;
  static constexpr int kThreads = kTeams * kLanes;
  static constexpr int kSharedFloats = 2 * kThreads;

  COGVX_HOST_DEVICE static int team(Spot spot) { return spot.thread / kLanes; }
  COGVX_HOST_DEVICE static int lane(Spot spot) { return spot.thread % kLanes; }

  template <typename In, typename Shared>
  COGVX_HOST_DEVICE static void share_sum(In x, int64_t begin, int64_t width, Spot spot,
                                          Shared shared) {
    write(shared, spot.thread, lane_sum(x, begin, width, lane(spot)));
  }
  // After share_sum and a barrier.
  template <typename Shared>
  COGVX_HOST_DEVICE static float mean(int64_t width, Spot spot, Shared shared) {
    return folded_lanes(shared, team(spot) * kLanes) / static_cast<float>(width);
  }
  template <typename In, typename Shared>
  COGVX_HOST_DEVICE static void share_squares(In x, int64_t begin, int64_t width, Spot spot,
                                              Shared shared) {
    const float row_mean = mean(width, spot, shared);
    write(shared, kThreads + spot.thread, lane_square_sum(x, begin, width, lane(spot), row_mean));
  }
  // After share_squares and a barrier.
  template <typename Shared>
  COGVX_HOST_DEVICE static Moments moments(int64_t width, float eps, Spot spot, Shared shared) {
    const float squares = folded_lanes(shared, kThreads + team(spot) * kLanes);
    return {mean(width, spot, shared), inverse_deviation(squares, width, eps)};
  }
};

template <typename T, typename Memory>
struct ModulatedNorm {
  using Stored = T;
  template <typename U>
  using In = typename Memory::template In<U>;
  static constexpr int kPhases = 3;

  In<T> x;
  typename Memory::template Out<T> y;
  int64_t rows;
  int64_t width;
  In<float> weight;
  In<float> bias;
  float eps;
  In<T> text_scale;
  In<T> text_shift;
  In<T> video_scale;
  In<T> video_shift;
  RowKinds kinds;

  Launch launch() const {
    return {ceil_of(rows, Teams::kTeams), 1, Teams::kThreads,
            Teams::kSharedFloats * static_cast<int>(sizeof(float))};
  }

  template <int P, typename Shared>
  COGVX_HOST_DEVICE void phase(Spot spot, Shared shared) const {
    const int64_t row = spot.x * Teams::kTeams + Teams::team(spot);
    if (row >= rows) return;
    if constexpr (P == 0) Teams::share_sum(x, row * width, width, spot, shared);
    if constexpr (P == 1) Teams::share_squares(x, row * width, width, spot, shared);
    if constexpr (P == 2) finish(row, Teams::moments(width, eps, spot, shared), Teams::lane(spot));
  }

  COGVX_HOST_DEVICE void finish(int64_t row, Moments m, int lane) const {
    const bool text = is_text(kinds, row);
    const In<T> scale = text ? text_scale : video_scale;
    const In<T> shift = text ? text_shift : video_shift;
    const bool plain = is_null(scale);
    for (int64_t i = lane; i < width; i += kLanes) {
      const float n = normalised(read(x, row * width + i), m, read(weight, i), read(bias, i));
      write(y, row * width + i, plain ? n : modulated(n, read(scale, i), read(shift, i)));
    }
  }
};

template <typename T, typename Memory>
ModulatedNorm<T, Memory> make(const ModulatedNormCall& c, const Memory& memory) {
  return {memory.template in<T>(c.x_RD),
          memory.template out<T>(c.y_RD),
          c.rows,
          c.width,
          memory.template in<float>(c.weight_D),
          memory.template in<float>(c.bias_D),
          c.eps,
          memory.template in<T>(c.text_scale_D),
          memory.template in<T>(c.text_shift_D),
          memory.template in<T>(c.video_scale_D),
          memory.template in<T>(c.video_shift_D),
          c.kinds};
}

// A block takes kSpan elements of one row.
template <typename T, typename Memory>
struct GatedAdd {
  using Stored = T;
  template <typename U>
  using In = typename Memory::template In<U>;
  static constexpr int kPhases = 1;
  static constexpr int kThreads = 256;
  static constexpr int64_t kSpan = 4 * kThreads;

  typename Memory::template Out<T> x;
  In<T> y;
  int64_t rows;
  int64_t width;
  In<T> text_gate;
  In<T> video_gate;
  RowKinds kinds;

  Launch launch() const { return {rows, ceil_of(width, kSpan), kThreads, 0}; }

  template <int P, typename Shared>
  COGVX_HOST_DEVICE void phase(Spot spot, Shared) const {
    const In<T> gate = is_text(kinds, spot.x) ? text_gate : video_gate;
    const int64_t row = spot.x * width;
    const int64_t begin = spot.y * kSpan;
    const int64_t end = begin + kSpan < width ? begin + kSpan : width;
    for (int64_t i = begin + spot.thread; i < end; i += kThreads)
      write(x, row + i, gated(read(x, row + i), read(gate, i), read(y, row + i)));
  }
};

template <typename T, typename Memory>
GatedAdd<T, Memory> make(const GatedAddCall& c, const Memory& memory) {
  return {
      memory.template out<T>(c.x_RD),       memory.template in<T>(c.y_RD),         c.rows, c.width,
      memory.template in<T>(c.text_gate_D), memory.template in<T>(c.video_gate_D), c.kinds};
}

// Block (row, chunk) takes 16 of the row's 3 * heads parts, a team each; v is only moved.
template <typename T, typename Memory>
struct PrepareQkv {
  using Stored = T;
  template <typename U>
  using In = typename Memory::template In<U>;
  static constexpr int kPhases = 3;

  struct Norm {
    In<float> weight;
    In<float> bias;
    float eps;
  };

  In<T> x;
  typename Memory::template Out<T> y;
  int64_t rows;
  int64_t heads;
  int64_t width;
  int64_t x_row_stride;
  int64_t x_part_stride;
  int64_t y_head_stride;
  int64_t y_part_stride;
  int64_t y_row_stride;
  Norm q;
  Norm k;
  In<float> cos;
  In<float> sin;
  RowKinds kinds;

  Launch launch() const {
    return {rows, ceil_of(3 * heads, Teams::kTeams), Teams::kThreads,
            Teams::kSharedFloats * static_cast<int>(sizeof(float))};
  }

  template <int P, typename Shared>
  COGVX_HOST_DEVICE void phase(Spot spot, Shared shared) const {
    // 32 bits: divisions are dear, and there are at most 16 * 65535 parts.
    const int unit = static_cast<int>(spot.y) * Teams::kTeams + Teams::team(spot);
    const int part = unit / static_cast<int>(heads);
    const int head = unit % static_cast<int>(heads);
    if (part > 2 || (part == 2 && P < 2)) return;
    const int64_t from = spot.x * x_row_stride + part * x_part_stride + head * width;
    if constexpr (P == 0) Teams::share_sum(x, from, width, spot, shared);
    if constexpr (P == 1) Teams::share_squares(x, from, width, spot, shared);
    if constexpr (P == 2) {
      const int64_t to = head * y_head_stride + part * y_part_stride + spot.x * y_row_stride;
      if (part == 2) {
        for (int64_t i = Teams::lane(spot); i < width; i += kLanes) copy(y, to + i, x, from + i);
      } else {
        const Norm norm = part == 0 ? q : k;
        finish(spot, from, to, norm, Teams::moments(width, norm.eps, spot, shared));
      }
    }
  }

  COGVX_HOST_DEVICE float norm_at(int64_t from, int64_t i, const Norm& norm, Moments m) const {
    return normalised(read(x, from + i), m, read(norm.weight, i), read(norm.bias, i));
  }

  COGVX_HOST_DEVICE void finish(Spot spot, int64_t from, int64_t to, const Norm& norm,
                                Moments m) const {
    const int lane = Teams::lane(spot);
    if (is_null(cos) || is_text(kinds, spot.x)) {
      for (int64_t i = lane; i < width; i += kLanes) write(y, to + i, norm_at(from, i, norm, m));
      return;
    }
    const int64_t table = (kinds.first_row + spot.x - kinds.text_rows) * width;
    for (int64_t i = 2 * lane; i < width; i += 2 * kLanes) {
      const float even = norm_at(from, i, norm, m);
      const float odd = norm_at(from, i + 1, norm, m);
      const int64_t at = table + i;
      write(y, to + i, rotated_even(even, odd, read(cos, at), read(sin, at)));
      write(y, to + i + 1, rotated_odd(even, odd, read(cos, at + 1), read(sin, at + 1)));
    }
  }
};

template <typename T, typename Memory>
PrepareQkv<T, Memory> make(const PrepareQkvCall& c, const Memory& memory) {
  return {memory.template in<T>(c.x_R3D),
          memory.template out<T>(c.y_H3RE),
          c.rows,
          c.heads,
          c.width,
          c.x_row_stride,
          c.x_part_stride,
          c.y_head_stride,
          c.y_part_stride,
          c.y_row_stride,
          {memory.template in<float>(c.q_weight_E), memory.template in<float>(c.q_bias_E), c.q_eps},
          {memory.template in<float>(c.k_weight_E), memory.template in<float>(c.k_bias_E), c.k_eps},
          memory.template in<float>(c.cos),
          memory.template in<float>(c.sin),
          c.kinds};
}

}  // namespace cogvx::cuda
