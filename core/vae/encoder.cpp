#include "core/vae/encoder.h"

#include <ATen/ops/add.h>

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

// Pairs of frames; of an odd count the first one stays as it is.
at::Tensor averaged_pairs(const at::Tensor& x_CTYX) {
  const int64_t frames = x_CTYX.size(1), first_stays = frames % 2;
  at::Tensor averaged = frames_like(x_CTYX, (frames + 1) / 2);
  if (first_stays == 1) averaged.select(1, 0).copy_(x_CTYX.select(1, 0));
  for (int64_t t = first_stays; t < averaged.size(1); ++t) {
    const int64_t from = 2 * t - first_stays;
    at::Tensor frame = averaged.select(1, t);
    at::add_out(frame, x_CTYX.select(1, from), x_CTYX.select(1, from + 1)).mul_(0.5);
  }
  return averaged;
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

at::Tensor VaeEncoder::encode_chunk(const at::Tensor& host_pixels_CTYX, CausalCache& cache) const {
  const ChunkRun run{ops_, cache};
  const auto norm = [&](const at::Tensor& x_CTYX, const NormWeights& weights, at::Tensor& y_CTYX) {
    const NormSiluCall call{
        .norm = weights, .groups = config_.norm_num_groups, .scale_Ctyx = {}, .shift_Ctyx = {}};
    ops_.norm_silu(x_CTYX, call, y_CTYX);
  };
  at::Tensor x = causal_convolution(run, {ops_.upload(host_pixels_CTYX)}, conv_in_);
  for (const EncoderDownBlock& block : down_blocks_) {
    for (const EncoderResnet& resnet : block.resnets)
      x = run_resnet(run, resnet, std::move(x), norm);
    if (!block.downsampler.packed.defined()) continue;
    if (block.in_time) x = averaged_pairs(x);
    x = ops_.convolution({std::move(x)}, block.downsampler);
  }
  for (const EncoderResnet& resnet : mid_resnets_) x = run_resnet(run, resnet, std::move(x), norm);
  norm(x, norm_out_, x);
  x = causal_convolution(run, {std::move(x)}, conv_out_);
  return ops_.download(x).contiguous();
}

}  // namespace cogvx
