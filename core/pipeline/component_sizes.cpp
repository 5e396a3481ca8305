#include "core/pipeline/component_sizes.h"

#include <c10/util/accumulate.h>

#include <algorithm>

#include "core/transformer/tensor_list.h"
#include "core/vae/layer_walk.h"
#include "core/vae/tiles.h"

namespace cogvx {
namespace {

// Follows the decoder's widths from the latents to the frames; sizes in elements.
class DecoderWalk {
 public:
  DecoderWalk(const VaeConfig& config, const Tile& tile, int64_t latent_frames, const VaeWork& work)
      : c_(config), frames_(latent_frames), plane_(tile.height * tile.width), work_(work) {}

  void begin(int64_t out) {
    causal_convolution(c_.latent_channels, out, /*held=*/c_.latent_channels);
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
    const int64_t after = channels * frames_ * plane_;
    peak_ = std::max(peak_, before + 2 * after + work_.frame_convolution(after, after));
  }
  void end(int64_t in) { causal_convolution(in, c_.out_channels, /*held=*/in); }

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

  const VaeConfig& c_;
  int64_t frames_;
  int64_t plane_;
  const VaeWork& work_;
  int64_t weights_ = 0;
  int64_t peak_ = 0;
  int64_t caches_ = 0;
};

// Follows the encoder's widths from the pixels to the moments; sizes in elements.
class EncoderWalk {
 public:
  EncoderWalk(const VaeConfig& config, const Tile& tile, const VaeWork& work)
      : c_(config), tile_(tile), work_(work) {}

  // One chunk, the first or one that finds what the chunks before it kept.
  void run(int64_t frames) {
    frames_ = frames;
    height_ = tile_.height;
    width_ = tile_.width;
    weights_ = 0;
    first_ = kept_ == 0;
    walk_encoder(c_, *this);
  }
  void begin(int64_t out) { causal_convolution({c_.in_channels, out, c_.in_channels}); }
  void resnet(int64_t in, int64_t out) {
    causal_convolution({in, out, /*held=*/in});
    causal_convolution({out, out, /*held=*/in, /*normed=*/out});
    if (in == out) return;
    weights_ += in * out;
    need((in + 2 * out) * frames_ + work_.convolution(in, out, frames_));
  }
  void downsample(int64_t channels, bool in_time) {
    const int64_t before = channels * frames_ * plane();
    if (in_time) frames_ = (frames_ + 1) / 2;
    const int64_t padded = channels * frames_ * (height_ + 1) * (width_ + 1);
    height_ /= 2;
    width_ /= 2;
    const int64_t after = channels * frames_ * plane();
    weights_ += 9 * channels * channels;
    peak_ = std::max({peak_, kept_ + before + padded,
                      kept_ + padded + after + work_.frame_convolution(padded, after)});
  }
  void end(int64_t in) { causal_convolution({in, 2 * c_.latent_channels, in}); }
  int64_t weights() const { return weights_; }
  int64_t peak() const { return peak_; }

 private:
  struct Convolution {
    int64_t in;
    int64_t out;
    int64_t held;        // channels that live beside its padded input and its output
    int64_t normed = 0;  // further ones until it begins
  };
  void causal_convolution(const Convolution& c) {
    weights_ += 27 * c.in * c.out + 3 * c.in;
    const int64_t padded = c.in * (frames_ + 2);
    need((c.held + c.normed) * frames_ + padded + work_.norm(c.in, frames_));
    if (first_) kept_ += 2 * c.in * plane();
    need((c.held + c.out) * frames_ + padded + work_.convolution(c.in, c.out, frames_));
  }
  int64_t plane() const { return height_ * width_; }
  // For one position of the plane.
  void need(int64_t elements) { peak_ = std::max(peak_, kept_ + elements * plane()); }

  const VaeConfig& c_;
  Tile tile_;
  const VaeWork& work_;
  bool first_ = true;
  int64_t frames_ = 0;
  int64_t height_ = 0;
  int64_t width_ = 0;
  int64_t weights_ = 0;
  int64_t kept_ = 0;
  int64_t peak_ = 0;
};

}  // namespace

int64_t element_bytes(at::ScalarType dtype) { return dtype == at::kFloat ? 4 : 2; }

int64_t transformer_parameters(const TransformerConfig& config) {
  int64_t parameters = 0;
  for (const auto& [name, shape] : transformer_tensors(config))
    parameters += c10::multiply_integers(shape);
  return parameters;
}

VaeSizes decoder_sizes(const Checkpoint& checkpoint, const Request& request, const VaeWork& work) {
  const LatentShape latents = latent_shape(request, checkpoint);
  const TileLayout layout = plan_tiles(request.vae_tile, latents.height, latents.width);
  DecoderWalk walk(checkpoint.vae, largest_tile(layout),
                   temporal_chunks(latents.decoded())[0].size(), work);
  walk_decoder(checkpoint.vae, walk);
  return {walk.weights(), walk.peak()};
}

VaeSizes encoder_sizes(const Checkpoint& checkpoint, const Request& request, int64_t frames,
                       const VaeWork& work) {
  const TileLayout layout = plan_encoder_tiles(request.vae_tile, request.height, request.width);
  EncoderWalk walk(checkpoint.vae, largest_tile(layout), work);
  const std::vector<RowRange> chunks = encoder_chunks(frames);
  for (size_t i = 0; i < std::min<size_t>(chunks.size(), 2); ++i) walk.run(chunks[i].size());
  return {walk.weights(), walk.peak()};
}

}  // namespace cogvx
