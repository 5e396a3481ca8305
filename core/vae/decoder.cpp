#include "core/vae/decoder.h"

#include <utility>

#include "core/base/memory.h"

namespace cogvx {
namespace {

constexpr int64_t kMidResnets = 2;

class Loader : public VaeLayerLoader {
 public:
  Loader(const VaeConfig& config, const VaeLayerLoader& layers)
      : VaeLayerLoader(layers), c_(config) {}

  SpatialNorm spatial_norm(const std::string& name, int64_t channels) {
    return {norm(name + ".norm_layer", channels, c_.norm_eps),
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
  const VaeConfig& c_;
};

}  // namespace

VaeDecoder::VaeDecoder(const VaeConfig& config, WeightMap& weights, at::ScalarType dtype, Ops& ops)
    : config_(config), dtype_(dtype), ops_(ops) {
  const LoadingAllocations allocations;
  Loader load(config_, {"decoder.", weights, dtype, ops});
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

void VaeDecoder::norm(const at::Tensor& x_CTYX, const SpatialNorm& norm,
                      const at::Tensor& latents_CtYX, at::Tensor& y_CTYX) const {
  // A 1x1 convolution and nearest-neighbour enlargement commute, so it runs on the latent grid.
  const NormSiluCall call{.norm = norm.norm,
                          .groups = config_.norm_num_groups,
                          .scale_Ctyx = ops_.convolution({latents_CtYX}, norm.conv_y),
                          .shift_Ctyx = ops_.convolution({latents_CtYX}, norm.conv_b)};
  ops_.norm_silu(x_CTYX, call, y_CTYX);
}

at::Tensor VaeDecoder::decode_chunk(const at::Tensor& host_latents_CtYX, CausalCache& cache) const {
  const at::Tensor latents_CtYX = ops_.upload(host_latents_CtYX);
  const ChunkRun run{ops_, cache};
  const auto by_latents = [&](const at::Tensor& x_CTYX, const SpatialNorm& weights,
                              at::Tensor& y_CTYX) { norm(x_CTYX, weights, latents_CtYX, y_CTYX); };
  at::Tensor x = causal_convolution(run, {latents_CtYX}, conv_in_);
  for (const DecoderResnet& resnet : mid_resnets_)
    x = run_resnet(run, resnet, std::move(x), by_latents);
  for (const DecoderUpBlock& block : up_blocks_) {
    for (const DecoderResnet& resnet : block.resnets)
      x = run_resnet(run, resnet, std::move(x), by_latents);
    const Enlarge enlarge = block.in_time ? Enlarge::kSpaceAndTime : Enlarge::kSpace;
    if (block.upsampler.packed.defined())
      x = ops_.convolution({.x_CTYX = std::move(x), .enlarge = enlarge}, block.upsampler);
  }
  by_latents(x, norm_out_, x);
  x = causal_convolution(run, {std::move(x)}, conv_out_);
  return ops_.download(x).contiguous();
}

}  // namespace cogvx
