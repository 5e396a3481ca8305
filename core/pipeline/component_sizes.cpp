#include "core/pipeline/component_sizes.h"

#include <c10/util/accumulate.h>

#include <algorithm>

#include "core/transformer/tensor_list.h"
#include "core/vae/layer_walk.h"
#include "core/vae/tiles.h"

namespace cogvx {
namespace {

// Follows the widths of one half of the VAE as it runs; sizes in elements.
class VaeWalk {
 public:
  VaeWalk(const VaeConfig& config, const Tile& tile, const VaeWork& work)
      : c_(config), tile_(tile), work_(work) {}

  void resnet(int64_t in, int64_t out) {
    if (in != out) {
      weights_ += in * out;
      need((in + out) * frames_ + work_.convolution(in, out, frames_));
    }
    norm(in, /*held=*/in + out);
    convolution({.in = in, .out = out, .held = out});
    norm(out, /*held=*/2 * out);
    convolution({.in = out, .out = out, .held = out, .adds = true});
  }
  int64_t weights() const { return weights_; }
  int64_t peak() const { return peak_; }

 protected:
  // One chunk, the first or one that finds what the chunks before it kept.
  void begin_chunk(int64_t frames, bool last) {
    frames_ = frames;
    height_ = tile_.height;
    width_ = tile_.width;
    weights_ = 0;
    finds_ = begun_;
    keeps_ = !last;
    begun_ = true;
  }
  // In place, or what it gives is among the channels held.
  void norm(int64_t channels, int64_t held) {
    weights_ += norm_weights(channels);
    need(held * frames_ + work_.norm(channels, frames_));
  }
  struct Convolution {
    int64_t in;
    int64_t out;
    int64_t held = 0;   // channels that live beside its input and output
    bool adds = false;  // to what is held
  };
  void convolution(const Convolution& c) {
    weights_ += 27 * c.in * c.out;
    const int64_t cached = 2 * c.in * plane();
    if (keeps_) kept_ += cached;
    const bool in_place = c.adds && !work_.by_copies;
    const int64_t padding = work_.by_copies ? 2 * c.in : 0;
    need((c.held + c.in + (in_place ? 0 : c.out)) * frames_ + padding +
         work_.convolution(c.in, c.out, frames_));
    if (finds_) kept_ -= cached;
  }
  // To another size of the plane; `input` is what the convolution's copy of its input takes.
  void change_plane(int64_t channels, int64_t before, int64_t input, int64_t after) {
    weights_ += 9 * channels * channels;
    const int64_t taken = work_.by_copies ? input : before;
    if (work_.by_copies) peak_ = std::max(peak_, kept_ + before + input);
    peak_ = std::max(peak_, kept_ + taken + after + work_.frame_convolution(input, after));
  }
  int64_t plane() const { return height_ * width_; }
  // For one position of the plane.
  void need(int64_t elements) { peak_ = std::max(peak_, kept_ + elements * plane()); }
  virtual int64_t norm_weights(int64_t channels) const = 0;
  ~VaeWalk() = default;

  const VaeConfig& c_;
  Tile tile_;
  const VaeWork& work_;
  int64_t frames_ = 0;
  int64_t height_ = 0;
  int64_t width_ = 0;
  int64_t peak_ = 0;
  int64_t kept_ = 0;
  int64_t weights_ = 0;

 private:
  bool begun_ = false;
  bool finds_ = false;
  bool keeps_ = false;
};

// From the latents to the frames.
class DecoderWalk final : public VaeWalk {
 public:
  using VaeWalk::VaeWalk;

  void run(int64_t frames, bool last) {
    begin_chunk(frames, last);
    walk_decoder(c_, *this);
  }
  void begin(int64_t out) { convolution({.in = c_.latent_channels, .out = out}); }
  void upsample(int64_t channels, bool in_time) {
    const int64_t before = channels * frames_ * plane();
    if (in_time) frames_ = 2 * frames_ - frames_ % 2;
    height_ *= 2;
    width_ *= 2;
    const int64_t after = channels * frames_ * plane();
    change_plane(channels, before, /*input=*/after, after);
  }
  void end(int64_t in) {
    norm(in, /*held=*/in);
    convolution({.in = in, .out = c_.out_channels});
  }

 private:
  // Its scale and shift come from two 1x1 convolutions.
  int64_t norm_weights(int64_t channels) const override {
    return 2 * c_.latent_channels * channels;
  }
};

// From the pixels to the moments.
class EncoderWalk final : public VaeWalk {
 public:
  using VaeWalk::VaeWalk;

  void run(int64_t frames, bool last) {
    begin_chunk(frames, last);
    walk_encoder(c_, *this);
  }
  void begin(int64_t out) { convolution({.in = c_.in_channels, .out = out}); }
  void downsample(int64_t channels, bool in_time) {
    int64_t before = channels * frames_ * plane();
    if (in_time) {
      frames_ = (frames_ + 1) / 2;
      need(channels * frames_ + before / plane());
      before = channels * frames_ * plane();
    }
    const int64_t padded = channels * frames_ * (height_ + 1) * (width_ + 1);
    height_ /= 2;
    width_ /= 2;
    change_plane(channels, before, padded, channels * frames_ * plane());
  }
  void end(int64_t in) {
    norm(in, /*held=*/in);
    convolution({.in = in, .out = 2 * c_.latent_channels});
  }

 private:
  int64_t norm_weights(int64_t channels) const override { return 2 * channels; }
};

// The first chunk, which is the longest, and one that finds what it kept.
template <typename Walk>
VaeSizes walk_chunks(Walk walk, const std::vector<RowRange>& chunks) {
  for (size_t i = 0; i < std::min<size_t>(chunks.size(), 2); ++i)
    walk.run(chunks[i].size(), i + 1 == chunks.size());
  return {walk.weights(), walk.peak()};
}

}  // namespace

int64_t element_bytes(at::ScalarType dtype) { return dtype == at::kFloat ? 4 : 2; }

int64_t transformer_parameters(const TransformerConfig& config) {
  int64_t parameters = 0;
  for (const auto& [name, shape] : transformer_tensors(config))
    parameters += c10::multiply_integers(shape);
  return parameters;
}

VaeSizes decoder_sizes(const Checkpoint& checkpoint, const Request& request, const Tile& tile,
                       const VaeWork& work) {
  return walk_chunks(DecoderWalk(checkpoint.vae, tile, work),
                     temporal_chunks(latent_shape(request, checkpoint).decoded()));
}

VaeSizes encoder_sizes(const Checkpoint& checkpoint, int64_t frames, const Tile& tile,
                       const VaeWork& work) {
  return walk_chunks(EncoderWalk(checkpoint.vae, tile, work), encoder_chunks(frames));
}

}  // namespace cogvx
