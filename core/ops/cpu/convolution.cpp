#include "core/ops/cpu/convolution.h"

#include <ATen/ops/zeros.h>

#include <algorithm>
#include <array>
#include <span>
#include <stdexcept>
#include <vector>

#include "core/ops/cpu/by_type.h"
#include "core/ops/cpu/channels_last.h"

namespace cogvx::cpu {
namespace {

constexpr int64_t kTileColumns = 64;
// Pixels that share one tap's weights while they are in the cache; whole blocks of every path.
constexpr int64_t kTilePixels = 480;
constexpr int64_t kBlockPixels = 24;

template <typename T>
constexpr int64_t kPack = sizeof(T) == sizeof(Bf16) ? 2 : 1;

// Rows of one tap's packed weights.
template <typename T>
int64_t packed_in(const ConvWeights& w) {
  return ceil_div(w.in, kPack<T>) * kPack<T>;
}

// Elements before the packed weights of the columns from `column` on: for each block of columns
// there are those of every tap.
template <typename T>
int64_t packed_offset(const ConvWeights& w, int64_t column) {
  return column * packed_in<T>(w) * w.kernel.taps();
}

// Channels that are packed together: what is read of them for one tap is in the cache for the
// next, and what is written lies in a row.
constexpr int64_t kPackedRun = 16;

template <typename T>
void pack_block(const at::Tensor& weight, const ConvWeights& w, int64_t column, T* to) {
  const int64_t taps = w.kernel.taps();
  const int64_t columns = std::min(kTileColumns, w.out - column);
  const int64_t padded = padded_columns(columns);
  const T* from = data<T>(weight) + column * w.in * taps;
  for (int64_t run = 0; run < w.in; run += kPackedRun) {
    for (int64_t tap = 0; tap < taps; ++tap) {
      for (int64_t k = run; k < std::min(run + kPackedRun, w.in); ++k) {
        const T* numbers = from + k * taps + tap;
        T* row = to + (tap * packed_in<T>(w) + k / kPack<T> * kPack<T>)*padded + k % kPack<T>;
        for (int64_t j = 0; j < columns; ++j) row[j * kPack<T>] = numbers[j * w.in * taps];
      }
    }
  }
}

// Frames that lie channels-last.
template <typename T>
struct Frames {
  explicit Frames(const at::Tensor& x_CTYX)
      : pixels(data<T>(x_CTYX)),
        channels(x_CTYX.size(0)),
        count(x_CTYX.size(1)),
        height(x_CTYX.size(2)),
        width(x_CTYX.size(3)) {}
  const T* frame(int64_t t) const { return pixels + t * height * width * channels; }

  const T* pixels;
  int64_t channels;
  int64_t count;
  int64_t height;
  int64_t width;
};

struct OutputSize {
  int64_t frames;
  int64_t height;
  int64_t width;
};

OutputSize output_size(const ConvCall& call, const ConvWeights& w) {
  const int64_t frames = call.x_CTYX.size(1), times = call.enlarge == Enlarge::kNone ? 1 : 2;
  const auto lines = [&](int64_t in, int64_t kernel) {
    const int64_t padded = w.stride == 1 ? times * in + 2 * w.padding(kernel) : times * in + 1;
    return (padded - kernel) / w.stride + 1;
  };
  return {call.enlarge == Enlarge::kSpaceAndTime ? 2 * frames - frames % 2 : frames,
          lines(call.x_CTYX.size(2), w.kernel.height), lines(call.x_CTYX.size(3), w.kernel.width)};
}

template <typename T>
class Convolution {
 public:
  // x, history and y lie channels-last; of x and history `packed_in` channels.
  Convolution(const Kernels& kernels, const ConvCall& call, const ConvWeights& w, at::Tensor& y)
      : kernels_(kernels),
        weights_(w),
        x_(call.x_CTYX),
        history_(call.history_CTYX.defined() ? data<T>(call.history_CTYX) : nullptr),
        zoom_(call.enlarge == Enlarge::kNone ? 0 : 1),
        in_time_(call.enlarge == Enlarge::kSpaceAndTime),
        out_{y.size(1), y.size(2), y.size(3)},
        y_(mutable_data<T>(y)),
        zeros_(x_.channels),
        ones_(call.sum_CTYX.defined() ? kTileColumns : 0) {
    for (T& one : ones_) store(one, 1.0f);
  }

  void run(ThreadPool& pool) const {
    const int64_t plane = out_.height * out_.width;
    const int64_t tiles = ceil_div(plane, kTilePixels);
    const int64_t tile = ceil_div(ceil_div(plane, tiles), kBlockPixels) * kBlockPixels;
    const int64_t blocks = ceil_div(weights_.out, kTileColumns);
    pool.run(out_.frames * tiles * blocks, [&](int64_t unit) {
      const int64_t first = unit / blocks % tiles * tile;
      compute(unit / blocks / tiles, {first, std::min(first + tile, plane)},
              unit % blocks * kTileColumns);
    });
  }

 private:
  // Output pixels of one frame, counted row by row, and 64 output channels.
  void compute(int64_t frame, RowRange pixels, int64_t column) const {
    if (pixels.size() <= 0) return;  // tiles are rounded up
    alignas(64) static thread_local std::array<float, kTilePixels * kTileColumns> c;
    static thread_local std::array<const T*, kTilePixels> rows;
    const int64_t columns = std::min(kTileColumns, weights_.out - column);
    const int64_t padded = padded_columns(columns);
    const int64_t in = packed_in<T>(weights_);
    const ConvKernel& kernel = weights_.kernel;
    const T* packed = data<T>(weights_.packed) + packed_offset<T>(weights_, column);
    for (int64_t tap = 0; tap < kernel.taps(); ++tap) {
      find_rows(frame, tap, pixels, rows.data());
      kernels_.gemm(GemmCall<T>{.a_rows = rows.data(),
                                .a_offset = 0,
                                .b = packed + tap * in * padded,
                                .ldb = padded,
                                .c = c.data(),
                                .ldc = kTileColumns,
                                .m = pixels.size(),
                                .n = padded,
                                .k = in,
                                .add = tap > 0});
    }
    kernels_.finish(FinishCall<T>{
        .c = c.data(),
        .ldc = kTileColumns,
        .bias = data<float>(weights_.bias) + column,
        .gate = ones_.empty() ? nullptr : ones_.data(),
        .activation = Activation::kNone,
        .rows = pixels.size(),
        .columns = columns,
        .y = y_ + (frame * out_.height * out_.width + pixels.begin) * weights_.out + column,
        .ldy = weights_.out});
  }

  // Where the tap of each output pixel looks.
  void find_rows(int64_t frame, int64_t tap, RowRange pixels, const T** rows) const {
    const ConvKernel& kernel = weights_.kernel;
    const T* from = source_frame(frame + tap / (kernel.height * kernel.width) - kernel.frames + 1);
    const int64_t shift_y = tap / kernel.width % kernel.height - weights_.padding(kernel.height);
    const int64_t shift_x = tap % kernel.width - weights_.padding(kernel.width);
    for (int64_t p = pixels.begin; p < pixels.end;) {
      const int64_t y = p / out_.width, x = p % out_.width;
      const int64_t count = std::min(out_.width - x, pixels.end - p);
      find_row(source_row(from, y * weights_.stride + shift_y), x, shift_x,
               {rows, static_cast<size_t>(count)});
      rows += count;
      p += count;
    }
  }

  // Of a frame as it is after enlarging; those before 0 come from the history.
  const T* source_frame(int64_t t) const {
    if (in_time_) t = (t + x_.count % 2) / 2;
    if (t >= 0) return x_.frame(t);
    if (history_ == nullptr) return x_.frame(0);
    return history_ + (t + weights_.kernel.frames - 1) * (x_.frame(1) - x_.frame(0));
  }
  const T* source_row(const T* frame, int64_t y) const {
    if (y < 0 || y >> zoom_ >= x_.height) return nullptr;
    return frame + (y >> zoom_) * x_.width * x_.channels;
  }
  // Output pixels of one row from x on; `row` is null beyond the border.
  void find_row(const T* row, int64_t x, int64_t shift, std::span<const T*> found) const {
    const int64_t stride = weights_.stride, width = x_.width << zoom_;
    for (const T*& pixel : found) {
      const int64_t from = x++ * stride + shift;
      const bool inside = row != nullptr && from >= 0 && from < width;
      pixel = inside ? row + (from >> zoom_) * x_.channels : zeros_.data();
    }
  }

  const Kernels& kernels_;
  const ConvWeights& weights_;
  Frames<T> x_;
  const T* history_;
  int zoom_;
  bool in_time_;
  OutputSize out_;
  T* y_;
  std::vector<T> zeros_;
  std::vector<T> ones_;
};

void check(const ConvCall& call, const ConvWeights& w) {
  const at::Tensor& history = call.history_CTYX;
  const bool fits =
      call.x_CTYX.dim() == 4 && call.x_CTYX.size(0) == w.in &&
      call.x_CTYX.scalar_type() == w.packed.scalar_type() &&
      (!history.defined() ||
       history.sizes() ==
           at::IntArrayRef{w.in, w.kernel.frames - 1, call.x_CTYX.size(2), call.x_CTYX.size(3)}) &&
      (w.kernel.frames == 1 || call.enlarge == Enlarge::kNone);
  if (!fits)
    throw std::logic_error("convolution: x is " + shape_text(call.x_CTYX.sizes()) +
                           ", weights want " + std::to_string(w.in) + " channels and " +
                           std::to_string(w.kernel.frames - 1) + " frames before it");
}

}  // namespace

ConvWeights pack_convolution(ThreadPool& pool, const at::Tensor& weight, const at::Tensor& bias,
                             int64_t stride) {
  ConvWeights w{.in = weight.size(1),
                .out = weight.size(0),
                .kernel = {weight.size(2), weight.size(3), weight.size(4)},
                .stride = stride,
                .bias = bias.to(at::kFloat).contiguous()};
  const at::Tensor plain = weight.contiguous();
  by_type(weight.scalar_type(), [&](auto type) {
    using T = decltype(type);
    w.packed = at::zeros({packed_offset<T>(w, padded_columns(w.out))}, weight.options());
    pool.run(ceil_div(w.out, kTileColumns), [&](int64_t block) {
      const int64_t column = block * kTileColumns;
      pack_block<T>(plain, w, column, mutable_data<T>(w.packed) + packed_offset<T>(w, column));
    });
  });
  return w;
}

at::Tensor convolution(const Workers& workers, const ConvCall& call, const ConvWeights& w) {
  check(call, w);
  const OutputSize size = output_size(call, w);
  const bool direct = call.sum_CTYX.defined() && is_channels_last(call.sum_CTYX);
  at::Tensor y = direct ? call.sum_CTYX
                        : empty_channels_last({w.out, size.frames, size.height, size.width},
                                              call.x_CTYX.options());
  if (call.sum_CTYX.defined() && !direct) y.copy_(call.sum_CTYX);
  by_type(call.x_CTYX.scalar_type(), [&](auto type) {
    using T = decltype(type);
    ConvCall lasting = call;
    lasting.x_CTYX = channels_last(call.x_CTYX, /*even=*/kPack<T> == 2);
    if (call.history_CTYX.defined())
      lasting.history_CTYX = channels_last(call.history_CTYX, /*even=*/kPack<T> == 2);
    Convolution<T>(workers.kernels, lasting, w, y).run(workers.pool);
  });
  return call.sum_CTYX.defined() && !direct ? call.sum_CTYX.copy_(y) : y;
}

}  // namespace cogvx::cpu
