#include <ATen/TensorOperators.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mkldnn_convolution.h>
#include <ATen/ops/round.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/ops/cpu/cpu_ops.h"
#include "core/ops/cpu/row_kernels.h"
#include "core/ops/nearest.h"

namespace cogvx {
namespace {

using cpu::Bf16;

// Wide layers are cut in two along the output channels, so that a chunk of few frames still feeds
// several threads.
constexpr int64_t kWideChannels = 128;

struct GroupStatistics {
  float mean;
  float inverse_deviation;
};

template <typename T>
class NormSilu {
 public:
  NormSilu(const at::Tensor& x_CTYX, const NormSiluCall& call, at::Tensor& y_CTYX)
      : x_(x_CTYX),
        call_(call),
        y_(y_CTYX),
        frames_(x_.size(1)),
        height_(x_.size(2)),
        width_(x_.size(3)) {
    if (call.scale_Ctyx.defined()) {
      scale_ = call.scale_Ctyx.to(at::kFloat).contiguous();
      shift_ = call.shift_Ctyx.to(at::kFloat).contiguous();
      frame_from_ = nearest_frames(scale_.size(1), frames_);
      row_from_ = nearest_indices(scale_.size(2), height_);
      column_from_ = nearest_indices(scale_.size(3), width_);
    }
  }

  void run_group(int64_t group) const {
    const int64_t channels = x_.size(0) / call_.groups;
    const GroupStatistics s = statistics(group * channels, channels);
    for (int64_t c = group * channels; c < (group + 1) * channels; ++c) {
      const float factor =
          s.inverse_deviation * call_.norm.weight.template const_data_ptr<float>()[c];
      const float offset = call_.norm.bias.template const_data_ptr<float>()[c];
      for (int64_t t = 0; t < frames_; ++t) {
        cpu::NormSiluRow<T> row{
            .x = x_plane(c, t),
            .y = static_cast<T*>(y_.mutable_data_ptr()) + c * y_.stride(0) + t * y_.stride(1),
            .count = height_ * width_,
            .mean = s.mean,
            .factor = factor,
            .offset = offset,
            .scale = nullptr,
            .shift = nullptr};
        if (scale_.defined()) {
          run_enlarged(row, c, frame_from_[t]);
        } else {
          cpu::norm_silu_row(row);
        }
      }
    }
  }

 private:
  const T* x_plane(int64_t c, int64_t t) const {
    return static_cast<const T*>(x_.const_data_ptr()) + c * x_.stride(0) + t * x_.stride(1);
  }

  GroupStatistics statistics(int64_t first_channel, int64_t channels) const {
    const int64_t plane = height_ * width_;
    const auto count = static_cast<double>(channels * frames_ * plane);
    double sum = 0;
    double squares = 0;
    for (int64_t i = 0; i < channels * frames_; ++i) {
      sum += cpu::plane_sum(x_plane(first_channel + i / frames_, i % frames_), plane);
    }
    const auto mean = static_cast<float>(sum / count);
    for (int64_t i = 0; i < channels * frames_; ++i) {
      squares +=
          cpu::plane_square_sum(x_plane(first_channel + i / frames_, i % frames_), plane, mean);
    }
    return {mean, static_cast<float>(1.0 / std::sqrt(squares / count + call_.norm.eps))};
  }

  // Row by row, with the latent grid's row enlarged once for all rows that share it.
  void run_enlarged(cpu::NormSiluRow<T> row, int64_t c, int64_t latent_frame) const {
    thread_local std::vector<float> scale, shift;
    scale.resize(width_);
    shift.resize(width_);
    row.count = width_;
    row.scale = scale.data();
    row.shift = shift.data();
    for (int64_t y = 0; y < height_; ++y, row.x += width_, row.y += width_) {
      if (y == 0 || row_from_[y] != row_from_[y - 1]) {
        const int64_t offset = (c * scale_.size(1) + latent_frame) * scale_.stride(1) +
                               row_from_[y] * scale_.stride(2);
        const float* scale_from = scale_.const_data_ptr<float>() + offset;
        const float* shift_from = shift_.const_data_ptr<float>() + offset;
        for (int64_t x = 0; x < width_; ++x) {
          scale[x] = scale_from[column_from_[x]];
          shift[x] = shift_from[column_from_[x]];
        }
      }
      cpu::norm_silu_row(row);
    }
  }

  const at::Tensor& x_;
  const NormSiluCall& call_;
  at::Tensor& y_;
  int64_t frames_;
  int64_t height_;
  int64_t width_;
  at::Tensor scale_;
  at::Tensor shift_;
  std::vector<int64_t> frame_from_;
  std::vector<int64_t> row_from_;
  std::vector<int64_t> column_from_;
};

template <typename T>
void double_plane(const T* x, int64_t height, int64_t width, T* y) {
  for (int64_t row = 0; row < height; ++row, x += width, y += 4 * width) {
    for (int64_t i = 0; i < width; ++i) y[2 * i] = y[2 * i + 1] = x[i];
    std::copy_n(y, 2 * width, y + 2 * width);
  }
}

}  // namespace

at::Tensor CpuOps::convolution(const at::Tensor& x_CTYX, const ConvWeights& w) {
  const int64_t kernel_frames = w.weight.size(2);
  const int64_t channels = w.weight.size(0);
  const int64_t frames = x_CTYX.size(1) - kernel_frames + 1;
  const int64_t kernel_y = w.weight.size(3), pad_y = w.padding(kernel_y);
  const int64_t kernel_x = w.weight.size(4), pad_x = w.padding(kernel_x);
  const int64_t blocks = channels >= kWideChannels && channels % 2 == 0 ? 2 : 1;
  const int64_t block = channels / blocks;
  at::Tensor y_CTYX =
      at::empty({channels, frames, (x_CTYX.size(2) + 2 * pad_y - kernel_y) / w.stride + 1,
                 (x_CTYX.size(3) + 2 * pad_x - kernel_x) / w.stride + 1},
                x_CTYX.options());
  pool_.run(frames * blocks, [&](int64_t unit) {
    const int64_t frame = unit / blocks;
    const int64_t first = unit % blocks * block;
    const at::Tensor x = x_CTYX.narrow(1, frame, kernel_frames).unsqueeze(0);
    const at::Tensor y = at::mkldnn_convolution(x.contiguous(), w.weight.narrow(0, first, block),
                                                w.bias.narrow(0, first, block), {0, pad_y, pad_x},
                                                {1, w.stride, w.stride}, {1, 1, 1}, /*groups=*/1);
    y_CTYX.narrow(0, first, block).select(1, frame).copy_(y.squeeze(0).select(1, 0));
  });
  return y_CTYX;
}

void CpuOps::norm_silu(const at::Tensor& x_CTYX, const NormSiluCall& call, at::Tensor& y_CTYX) {
  const auto run = [&](const auto& norm) {
    pool_.run(call.groups, [&](int64_t group) { norm.run_group(group); });
  };
  if (x_CTYX.scalar_type() == at::kFloat) {
    run(NormSilu<float>(x_CTYX, call, y_CTYX));
  } else {
    run(NormSilu<Bf16>(x_CTYX, call, y_CTYX));
  }
}

void CpuOps::add(at::Tensor& x_CTYX, const at::Tensor& y_CTYX) {
  pool_.run(x_CTYX.size(0),
            [&](int64_t channel) { x_CTYX.select(0, channel).add_(y_CTYX.select(0, channel)); });
}

at::Tensor CpuOps::upsample(const at::Tensor& x_CTYX, bool in_time) {
  const int64_t frames = x_CTYX.size(1);
  const int64_t height = x_CTYX.size(2);
  const int64_t width = x_CTYX.size(3);
  const int64_t first_stays = frames % 2;
  const int64_t out_frames = in_time ? 2 * frames - first_stays : frames;
  const at::Tensor x = x_CTYX.contiguous();
  at::Tensor y_CTYX = at::empty({x.size(0), out_frames, 2 * height, 2 * width}, x.options());
  pool_.run(x.size(0) * out_frames, [&](int64_t unit) {
    const int64_t channel = unit / out_frames;
    const int64_t t = unit % out_frames;
    const int64_t from =
        (channel * frames + (in_time ? (t + first_stays) / 2 : t)) * height * width;
    const int64_t to = unit * 4 * height * width;
    if (x.scalar_type() == at::kFloat) {
      double_plane(static_cast<const float*>(x.const_data_ptr()) + from, height, width,
                   static_cast<float*>(y_CTYX.mutable_data_ptr()) + to);
    } else {
      double_plane(static_cast<const Bf16*>(x.const_data_ptr()) + from, height, width,
                   static_cast<Bf16*>(y_CTYX.mutable_data_ptr()) + to);
    }
  });
  return y_CTYX;
}

void CpuOps::fade(const at::Tensor& before_CTYX, at::Tensor& tile_CTYX, int64_t dim) {
  const int64_t lines = tile_CTYX.size(dim);
  for (int64_t i = 0; i < lines; ++i) {
    const double share = static_cast<double>(i) / static_cast<double>(lines);
    at::Tensor line = tile_CTYX.select(dim, i);
    line.copy_(before_CTYX.select(dim, i) * (1 - share) + line * share);
  }
}

// Frame by frame, which keeps what lies between small.
at::Tensor CpuOps::to_rgb(const at::Tensor& x_CTYX) {
  const int64_t frames = x_CTYX.size(1);
  at::Tensor rgb_TYXC =
      at::empty({frames, x_CTYX.size(2), x_CTYX.size(3), x_CTYX.size(0)}, at::kByte);
  for (int64_t i = 0; i < frames; ++i) {
    const at::Tensor unit = at::clamp(x_CTYX.select(1, i) * 0.5 + 0.5, 0, 1).to(at::kFloat);
    rgb_TYXC[i].copy_(at::round(unit * 255.0).to(at::kByte).permute({1, 2, 0}));
  }
  return rgb_TYXC;
}

}  // namespace cogvx
