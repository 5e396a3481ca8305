#include "core/ops/cpu/norm_silu.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/ops/cpu/by_type.h"
#include "core/ops/cpu/channels_last.h"
#include "core/ops/nearest.h"

namespace cogvx::cpu {
namespace {

// A unit of the sums; cut at multiples of it whoever computes them.
constexpr int64_t kBandPixels = 1024;
// Without scale and shift a row is cut so that its parts stay in the cache.
constexpr int64_t kRunPixels = 16;

// What a channel's values go through, fp32 [C] each.
struct ChannelFactors {
  std::vector<float> mean, factor, offset;
};

template <typename T>
class NormSilu {
 public:
  // x and y lie channels-last.
  NormSilu(const Kernels& kernels, const at::Tensor& x_CTYX, const NormSiluCall& call)
      : kernels_(kernels),
        call_(call),
        x_(data<T>(x_CTYX)),
        channels_(x_CTYX.size(0)),
        frames_(x_CTYX.size(1)),
        height_(x_CTYX.size(2)),
        width_(x_CTYX.size(3)) {
    if (!call.scale_Ctyx.defined()) return;
    scale_Ctyx_ = channels_last(call.scale_Ctyx);
    shift_Ctyx_ = channels_last(call.shift_Ctyx);
    frame_from_ = nearest_frames(scale_Ctyx_.size(1), frames_);
    row_from_ = nearest_indices(scale_Ctyx_.size(2), height_);
    column_from_ = nearest_indices(scale_Ctyx_.size(3), width_);
  }

  void run(ThreadPool& pool, at::Tensor& y_CTYX) const {
    const ChannelFactors factors = channel_factors(pool);
    T* y = mutable_data<T>(y_CTYX);
    pool.run(frames_ * height_, [&](int64_t row) {
      const int64_t at = row * width_ * channels_;
      NormSiluPixels<T> pixels{.x = x_ + at,
                               .y = y + at,
                               .pixels = 0,
                               .channels = channels_,
                               .mean = factors.mean.data(),
                               .factor = factors.factor.data(),
                               .offset = factors.offset.data(),
                               .scale = nullptr,
                               .shift = nullptr};
      run_row(pixels, row / height_, row % height_);
    });
  }

 private:
  ChannelFactors channel_factors(ThreadPool& pool) const {
    const int64_t pixels = frames_ * height_ * width_;
    const int64_t bands = ceil_div(pixels, kBandPixels);
    std::vector<double> sums(2 * channels_ * bands);
    pool.run(bands, [&](int64_t band) {
      const int64_t first = band * kBandPixels;
      double* of_band = sums.data() + 2 * channels_ * band;
      kernels_.channel_sums(ChannelSums<T>{.x = x_ + first * channels_,
                                           .pixels = std::min(kBandPixels, pixels - first),
                                           .channels = channels_,
                                           .sums = of_band,
                                           .squares = of_band + channels_});
    });
    ChannelFactors factors{std::vector<float>(channels_), std::vector<float>(channels_),
                           std::vector<float>(channels_)};
    const int64_t width = channels_ / call_.groups;
    const auto count = static_cast<double>(width * pixels);
    for (int64_t group = 0; group < call_.groups; ++group) {
      double sum = 0, squares = 0;
      for (int64_t band = 0; band < bands; ++band) {
        const double* of_band = sums.data() + 2 * channels_ * band + group * width;
        for (int64_t c = 0; c < width; ++c) {
          sum += of_band[c];
          squares += of_band[channels_ + c];
        }
      }
      const double mean = sum / count;
      const double variance = std::max(squares / count - mean * mean, 0.0);
      const double inverse_deviation = 1 / std::sqrt(variance + call_.norm.eps);
      for (int64_t c = group * width; c < (group + 1) * width; ++c) {
        factors.mean[c] = static_cast<float>(mean);
        factors.factor[c] =
            static_cast<float>(inverse_deviation) * data<float>(call_.norm.weight)[c];
        factors.offset[c] = data<float>(call_.norm.bias)[c];
      }
    }
    return factors;
  }

  // In runs of pixels that have one place on the latent grid.
  void run_row(NormSiluPixels<T> pixels, int64_t frame, int64_t y) const {
    for (int64_t x = 0; x < width_; x += pixels.pixels) {
      pixels.pixels = run_length(x);
      if (scale_Ctyx_.defined()) {
        const int64_t row = frame_from_[frame] * scale_Ctyx_.size(2) + row_from_[y];
        const int64_t at = (row * scale_Ctyx_.size(3) + column_from_[x]) * channels_;
        pixels.scale = data<T>(scale_Ctyx_) + at;
        pixels.shift = data<T>(shift_Ctyx_) + at;
      }
      kernels_.norm_silu_pixels(pixels);
      pixels.x += pixels.pixels * channels_;
      pixels.y += pixels.pixels * channels_;
    }
  }
  int64_t run_length(int64_t x) const {
    int64_t end = std::min(width_, x + kRunPixels);
    if (scale_Ctyx_.defined()) {
      for (int64_t other = x; other < end; ++other) {
        if (column_from_[other] != column_from_[x]) end = other;
      }
    }
    return end - x;
  }

  const Kernels& kernels_;
  const NormSiluCall& call_;
  const T* x_;
  int64_t channels_;
  int64_t frames_;
  int64_t height_;
  int64_t width_;
  at::Tensor scale_Ctyx_;
  at::Tensor shift_Ctyx_;
  std::vector<int64_t> frame_from_;
  std::vector<int64_t> row_from_;
  std::vector<int64_t> column_from_;
};

}  // namespace

void norm_silu(const Workers& workers, const at::Tensor& x_CTYX, const NormSiluCall& call,
               at::Tensor& y_CTYX) {
  const at::Tensor x = channels_last(x_CTYX);
  const bool direct = is_channels_last(y_CTYX);
  at::Tensor y = direct ? y_CTYX : empty_channels_last(x.sizes(), x.options());
  by_type(x.scalar_type(), [&](auto type) {
    NormSilu<decltype(type)>(workers.kernels, x, call).run(workers.pool, y);
  });
  if (!direct) y_CTYX.copy_(y);
}

}  // namespace cogvx::cpu
