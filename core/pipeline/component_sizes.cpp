#include "core/pipeline/component_sizes.h"

#include <c10/util/accumulate.h>

#include <algorithm>

#include "core/transformer/tensor_list.h"
#include "core/vae/tiles.h"

namespace cogvx {
namespace {

// Follows the decoder's widths from the latents to the frames; sizes in elements.
class DecoderWalk {
 public:
  DecoderWalk(const VaeConfig& config, const Tile& tile, int64_t latent_frames,
              const DecoderWork& work)
      : c_(config), frames_(latent_frames), plane_(tile.height * tile.width), work_(work) {}

  void run() {
    const auto& widths = c_.block_out_channels;
    causal_convolution(c_.latent_channels, widths.back(), /*held=*/c_.latent_channels);
    for (int i = 0; i < 2; ++i) resnet(widths.back(), widths.back());
    int64_t in = widths.back();
    for (size_t i = 0; i < widths.size(); ++i) {
      const int64_t out = widths[widths.size() - 1 - i];
      for (int64_t j = 0; j <= c_.layers_per_block; ++j) resnet(j == 0 ? in : out, out);
      if (i + 1 < widths.size()) upsample(out, /*in_time=*/i < 2);
      in = out;
    }
    causal_convolution(widths.front(), c_.out_channels, /*held=*/widths.front());
  }
  int64_t weights() const { return weights_; }
  int64_t peak() const { return peak_ + caches_; }

 private:
  // `held` channels live beside the padded input and the output.
  void causal_convolution(int64_t in, int64_t out, int64_t held) {
    weights_ += 27 * in * out + 2 * c_.latent_channels * in;
    peak_ = std::max(
        peak_, ((held + out) * frames_ + in * (frames_ + 2) + work_.convolution(in, out, frames_)) *
                   plane_);
    const int64_t normed = held * frames_ + in * (frames_ + 2) + work_.norm(in, frames_);
    peak_ = std::max(peak_, normed * plane_);
    caches_ += 2 * in * plane_;
  }
  void resnet(int64_t in, int64_t out) {
    causal_convolution(in, out, /*held=*/in);
    causal_convolution(out, out, /*held=*/in + out);
    if (in != out) {
      weights_ += in * out;
      peak_ = std::max(peak_, (in + 2 * out) * frames_ * plane_);
    }
  }
  void upsample(int64_t channels, bool in_time) {
    const int64_t before = channels * frames_ * plane_;
    if (in_time) frames_ = 2 * frames_ - frames_ % 2;
    plane_ *= 4;
    weights_ += 9 * channels * channels;
    const int64_t convolved = 2 * channels * frames_ + work_.frame_convolution(channels, frames_);
    peak_ = std::max(peak_, before + convolved * plane_);
  }

  const VaeConfig& c_;
  int64_t frames_;
  int64_t plane_;
  const DecoderWork& work_;
  int64_t weights_ = 0;
  int64_t peak_ = 0;
  int64_t caches_ = 0;
};

}  // namespace

int64_t element_bytes(at::ScalarType dtype) { return dtype == at::kFloat ? 4 : 2; }

int64_t transformer_parameters(const TransformerConfig& config) {
  int64_t parameters = 0;
  for (const auto& [name, shape] : transformer_tensors(config))
    parameters += c10::multiply_integers(shape);
  return parameters;
}

DecoderSizes decoder_sizes(const Checkpoint& checkpoint, const Request& request,
                           const DecoderWork& work) {
  const LatentShape latents = latent_shape(request, checkpoint);
  const TileLayout layout = plan_tiles(request.vae_tile, latents.height, latents.width);
  const Tile largest = *std::max_element(
      layout.tiles.begin(), layout.tiles.end(),
      [](const Tile& a, const Tile& b) { return a.height * a.width < b.height * b.width; });
  DecoderWalk walk(checkpoint.vae, largest, temporal_chunks(latents.frames)[0].size(), work);
  walk.run();
  return {walk.weights(), walk.peak()};
}

}  // namespace cogvx
