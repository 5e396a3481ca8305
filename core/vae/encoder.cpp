#include "core/vae/encoder.h"

#include <ATen/ops/add.h>
#include <ATen/ops/empty.h>

#include <utility>

#include "core/base/memory.h"

namespace cogvx {
namespace {

constexpr int64_t kMidResnets = 2;
constexpr double kNormOutEps = 1e-6;  // whatever norm_eps is

EncoderResnet load_resnet(VaeLayerLoader& load, const std::string& name, int64_t out, int64_t in,
                          double eps) {
  EncoderResnet r;
  r.norm1 = load.norm(name + ".norm1", in, eps);
  r.conv1 = load.convolution(name + ".conv1.conv", out, in, 3);
  r.norm2 = load.norm(name + ".norm2", out, eps);
  r.conv2 = load.convolution(name + ".conv2.conv", out, out, 3);
  if (out != in) r.shortcut = load.convolution(name + ".conv_shortcut", out, in, 1);
  return r;
}

// Each frame with a line of zeros below and a column of them to its right, which a stride of two
// wants; where `in_time`, pairs of frames are averaged first, and of an odd count the first one
// stays as it is.
at::Tensor padded_for_downsampling(const at::Tensor& x_CTYX, bool in_time) {
  const int64_t frames = x_CTYX.size(1), height = x_CTYX.size(2), width = x_CTYX.size(3);
  const int64_t out_frames = in_time ? (frames + 1) / 2 : frames;
  at::Tensor padded =
      at::empty({x_CTYX.size(0), out_frames, height + 1, width + 1}, x_CTYX.options());
  padded.select(2, height).zero_();
  padded.select(3, width).zero_();
  const at::Tensor inside = padded.narrow(2, 0, height).narrow(3, 0, width);
  const int64_t first_stays = frames % 2;
  for (int64_t t = 0; t < out_frames; ++t) {
    at::Tensor frame = inside.select(1, t);
    if (!in_time || (t == 0 && first_stays == 1)) {
      frame.copy_(x_CTYX.select(1, t));
    } else {
      const int64_t from = 2 * t - first_stays;
      at::add_out(frame, x_CTYX.select(1, from), x_CTYX.select(1, from + 1)).mul_(0.5);
    }
  }
  return padded;
}

}  // namespace

VaeEncoder::VaeEncoder(const VaeConfig& config, WeightMap& weights, at::ScalarType dtype, Ops& ops)
    : config_(config), dtype_(dtype), ops_(ops) {
  const LoadingAllocations allocations;
  VaeLayerLoader load("encoder.", weights, dtype, ops);
  const std::vector<int64_t>& widths = config_.block_out_channels;
  conv_in_ = load.convolution("conv_in.conv", widths.front(), config_.in_channels, 3);
  int64_t in = widths.front();
  for (int64_t i = 0; i < std::ssize(widths); ++i) {
    const std::string name = "down_blocks." + std::to_string(i);
    const int64_t out = widths[i];
    EncoderDownBlock block;
    for (int64_t j = 0; j < config_.layers_per_block; ++j) {
      block.resnets.push_back(load_resnet(load, name + ".resnets." + std::to_string(j), out,
                                          j == 0 ? in : out, config_.norm_eps));
    }
    if (i + 1 < std::ssize(widths))
      block.downsampler = load.frame_convolution(name + ".downsamplers.0.conv", out, /*stride=*/2);
    block.in_time = i < 2;  // log2 of the temporal compression of 4
    down_blocks_.push_back(std::move(block));
    in = out;
  }
  for (int64_t i = 0; i < kMidResnets; ++i) {
    mid_resnets_.push_back(
        load_resnet(load, "mid_block.resnets." + std::to_string(i), in, in, config_.norm_eps));
  }
  norm_out_ = load.norm("norm_out", in, kNormOutEps);
  conv_out_ = load.convolution("conv_out.conv", moment_channels(), in, 3);
  weights.ignore_prefix("decoder.");
  weights.finish();
}

CausalInput VaeEncoder::activated(const at::Tensor& x_CTYX, const NormWeights& norm) const {
  CausalInput input = causal_input(x_CTYX);
  const NormSiluCall call{
      .norm = norm, .groups = config_.norm_num_groups, .scale_Ctyx = {}, .shift_Ctyx = {}};
  ops_.norm_silu(x_CTYX, call, input.frames_CTYX);
  return input;
}

at::Tensor VaeEncoder::run_resnet(const EncoderResnet& resnet, const at::Tensor& x_CTYX,
                                  CausalCache& cache) const {
  at::Tensor h = causal_convolution(activated(x_CTYX, resnet.norm1), resnet.conv1, cache, ops_);
  {
    const CausalInput again = activated(h, resnet.norm2);
    h.reset();  // a good part of the encoder's peak
    h = causal_convolution(again, resnet.conv2, cache, ops_);
  }
  ops_.add(h,
           resnet.shortcut.weight.defined() ? ops_.convolution(x_CTYX, resnet.shortcut) : x_CTYX);
  return h;
}

at::Tensor VaeEncoder::encode_chunk(const at::Tensor& host_pixels_CTYX, CausalCache& cache) const {
  at::Tensor x = ops_.upload(host_pixels_CTYX);
  {
    CausalInput first = causal_input(x);
    first.frames_CTYX.copy_(x);
    x = causal_convolution(first, conv_in_, cache, ops_);
  }
  for (const EncoderDownBlock& block : down_blocks_) {
    for (const EncoderResnet& resnet : block.resnets) x = run_resnet(resnet, x, cache);
    if (!block.downsampler.weight.defined()) continue;
    const at::Tensor padded = padded_for_downsampling(x, block.in_time);
    x.reset();
    x = ops_.convolution(padded, block.downsampler);
  }
  for (const EncoderResnet& resnet : mid_resnets_) x = run_resnet(resnet, x, cache);
  return ops_.download(causal_convolution(activated(x, norm_out_), conv_out_, cache, ops_));
}

}  // namespace cogvx
