#include "core/vae/decoder.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>

#include "core/base/memory.h"

namespace cogvx {
namespace {

constexpr int64_t kCausalFrames =
    2;  // a 3x3x3 causal convolution looks at two frames before its own
constexpr int64_t kMidResnets = 2;

class Loader {
 public:
  Loader(const VaeConfig& config, WeightMap& weights, at::ScalarType dtype, Ops& ops)
      : c_(config), weights_(weights), dtype_(dtype), ops_(ops) {}

  ConvWeights convolution(const std::string& name, int64_t out, int64_t in, int64_t kernel) {
    return {upload(take(name + ".weight", {out, in, kernel, kernel, kernel})),
            upload(take(name + ".bias", {out}))};
  }
  // A convolution of single frames, kept as a 3-D one of one frame.
  ConvWeights frame_convolution(const std::string& name, int64_t channels) {
    return {upload(take(name + ".weight", {channels, channels, 3, 3}).unsqueeze(2)),
            upload(take(name + ".bias", {channels}))};
  }
  SpatialNorm spatial_norm(const std::string& name, int64_t channels) {
    return {{upload(take(name + ".norm_layer.weight", {channels}).to(at::kFloat)),
             upload(take(name + ".norm_layer.bias", {channels}).to(at::kFloat)), c_.norm_eps},
            convolution(name + ".conv_y.conv", channels, c_.latent_channels, 1),
            convolution(name + ".conv_b.conv", channels, c_.latent_channels, 1)};
  }
  DecoderResnet resnet(const std::string& name, int64_t out, int64_t in) {
    DecoderResnet r;
    r.norm1 = spatial_norm(name + ".norm1", in);
    r.conv1 = convolution(name + ".conv1.conv", out, in, 3);
    r.norm2 = spatial_norm(name + ".norm2", out);
    r.conv2 = convolution(name + ".conv2.conv", out, out, 3);
    if (out != in) r.shortcut = convolution(name + ".conv_shortcut", out, in, 1);
    return r;
  }

 private:
  at::Tensor take(const std::string& name, at::IntArrayRef shape) {
    return weights_.take("decoder." + name, shape, dtype_);
  }
  at::Tensor upload(const at::Tensor& tensor) { return ops_.upload(tensor); }

  const VaeConfig& c_;
  WeightMap& weights_;
  at::ScalarType dtype_;
  Ops& ops_;
};

}  // namespace

VaeDecoder::VaeDecoder(const VaeConfig& config, WeightMap& weights, at::ScalarType dtype, Ops& ops)
    : config_(config), dtype_(dtype), ops_(ops) {
  const LoadingAllocations allocations;
  Loader load(config_, weights, dtype, ops);
  const std::vector<int64_t>& widths = config_.block_out_channels;
  conv_in_ = load.convolution("conv_in.conv", widths.back(), config_.latent_channels, 3);
  for (int64_t i = 0; i < kMidResnets; ++i) {
    mid_resnets_.push_back(
        load.resnet("mid_block.resnets." + std::to_string(i), widths.back(), widths.back()));
  }
  int64_t in = widths.back();
  for (int64_t i = 0; i < static_cast<int64_t>(widths.size()); ++i) {
    const int64_t out = widths[widths.size() - 1 - i];
    const std::string name = "up_blocks." + std::to_string(i);
    DecoderUpBlock block;
    for (int64_t j = 0; j <= config_.layers_per_block; ++j) {
      block.resnets.push_back(
          load.resnet(name + ".resnets." + std::to_string(j), out, j == 0 ? in : out));
    }
    if (i + 1 < static_cast<int64_t>(widths.size())) {
      block.upsampler = load.frame_convolution(name + ".upsamplers.0.conv", out);
    }
    block.in_time = i < 2;  // log2 of the temporal compression of 4
    up_blocks_.push_back(std::move(block));
    in = out;
  }
  norm_out_ = load.spatial_norm("norm_out", widths.front());
  conv_out_ = load.convolution("conv_out.conv", config_.out_channels, widths.front(), 3);
  weights.ignore_prefix("encoder.");
  weights.finish();
}

// `padded_CTYX` has room for two frames in front of the chunk; they come from the chunk before, or,
// in the first chunk, from its own first frame.
at::Tensor VaeDecoder::causal_convolution(const at::Tensor& padded_CTYX, const ConvWeights& conv,
                                          CausalCache& cache) const {
  at::Tensor history = padded_CTYX.narrow(1, 0, kCausalFrames);
  at::Tensor& cached = cache[&conv];
  history.copy_(cached.defined() ? cached
                                 : padded_CTYX.narrow(1, kCausalFrames, 1).expand_as(history));
  cached = padded_CTYX.narrow(1, padded_CTYX.size(1) - kCausalFrames, kCausalFrames).clone();
  return ops_.convolution(padded_CTYX, conv);
}

at::Tensor VaeDecoder::norm_and_convolve(const at::Tensor& x_CTYX, const SpatialNorm& norm,
                                         const ConvWeights& conv, const at::Tensor& latents_CtYX,
                                         CausalCache& cache) const {
  // A 1x1 convolution and nearest-neighbour enlargement commute, so it runs on the latent grid.
  const NormSiluCall call{.norm = norm.norm,
                          .groups = config_.norm_num_groups,
                          .scale_Ctyx = ops_.convolution(latents_CtYX, norm.conv_y),
                          .shift_Ctyx = ops_.convolution(latents_CtYX, norm.conv_b)};
  const at::Tensor padded =
      at::empty({x_CTYX.size(0), x_CTYX.size(1) + kCausalFrames, x_CTYX.size(2), x_CTYX.size(3)},
                x_CTYX.options());
  at::Tensor activated = padded.narrow(1, kCausalFrames, x_CTYX.size(1));
  ops_.norm_silu(x_CTYX, call, activated);
  return causal_convolution(padded, conv, cache);
}

at::Tensor VaeDecoder::run_resnet(const DecoderResnet& resnet, const at::Tensor& x_CTYX,
                                  const at::Tensor& latents_CtYX, CausalCache& cache) const {
  at::Tensor h = norm_and_convolve(x_CTYX, resnet.norm1, resnet.conv1, latents_CtYX, cache);
  h = norm_and_convolve(h, resnet.norm2, resnet.conv2, latents_CtYX, cache);
  ops_.add(h,
           resnet.shortcut.weight.defined() ? ops_.convolution(x_CTYX, resnet.shortcut) : x_CTYX);
  return h;
}

at::Tensor VaeDecoder::decode_chunk(const at::Tensor& host_latents_CtYX, CausalCache& cache) const {
  const at::Tensor latents_CtYX = ops_.upload(host_latents_CtYX);
  at::Tensor padded = at::empty({latents_CtYX.size(0), latents_CtYX.size(1) + kCausalFrames,
                                 latents_CtYX.size(2), latents_CtYX.size(3)},
                                latents_CtYX.options());
  padded.narrow(1, kCausalFrames, latents_CtYX.size(1)).copy_(latents_CtYX);
  at::Tensor x = causal_convolution(padded, conv_in_, cache);
  for (const DecoderResnet& resnet : mid_resnets_) x = run_resnet(resnet, x, latents_CtYX, cache);
  for (const DecoderUpBlock& block : up_blocks_) {
    for (const DecoderResnet& resnet : block.resnets)
      x = run_resnet(resnet, x, latents_CtYX, cache);
    if (block.upsampler.weight.defined())
      x = ops_.convolution(ops_.upsample(x, block.in_time), block.upsampler);
  }
  return ops_.download(norm_and_convolve(x, norm_out_, conv_out_, latents_CtYX, cache));
}

}  // namespace cogvx
