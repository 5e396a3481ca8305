#include "core/pipeline/flop_count.h"

#include <c10/util/accumulate.h>

#include "core/transformer/tensor_list.h"
#include "core/vae/layer_walk.h"
#include "core/vae/tiles.h"

namespace cogvx {
namespace {

// How many rows of a share go through the linear layer of this weight; 0 for what is none.
int64_t rows_through(const std::string& name, const PassShare& share, RowRange text) {
  if (!name.ends_with(".weight") || name.find("norm_q") != std::string::npos ||
      name.find("norm_k") != std::string::npos || name.ends_with("norm.weight") ||
      name.starts_with("norm_final"))
    return 0;
  if (name.starts_with("time_embedding") || name.starts_with("ofs_embedding") ||
      name.find(".linear.weight") != std::string::npos)
    return 1;
  const int64_t text_rows = intersect(share.rows, text).size();
  if (name.starts_with("patch_embed.text_proj")) return text_rows;
  if (name.starts_with("patch_embed.proj") || name.starts_with("proj_out"))
    return share.rows.size() - text_rows;
  return share.rows.size();
}

// Convolutions of one chunk of frames, at the size that the layers before have made.
class ConvolvedChunk {
 public:
  ConvolvedChunk(int64_t frames, int64_t plane) : frames_(frames), plane_(plane) {}
  int64_t flops() const { return flops_; }

 protected:
  void convolve(int64_t taps, int64_t in, int64_t out) {
    flops_ += 2 * taps * in * out * frames_ * plane_;
  }
  int64_t frames_;
  int64_t plane_;
  int64_t flops_ = 0;
};

class DecodedChunk : public ConvolvedChunk {
 public:
  DecodedChunk(const VaeConfig& config, int64_t frames, int64_t plane)
      : ConvolvedChunk(frames, plane), c_(config), latent_(frames * plane) {}

  void begin(int64_t out) { convolve(27, c_.latent_channels, out); }
  void resnet(int64_t in, int64_t out) {
    norm(in);
    convolve(27, in, out);
    norm(out);
    convolve(27, out, out);
    if (in != out) convolve(1, in, out);
  }
  void upsample(int64_t channels, bool in_time) {
    if (in_time) frames_ = 2 * frames_ - frames_ % 2;
    plane_ *= 4;
    convolve(9, channels, channels);
  }
  void end(int64_t in) {
    norm(in);
    convolve(27, in, c_.out_channels);
  }

 private:
  // Scale and shift are made on the latent grid.
  void norm(int64_t channels) { flops_ += 2 * 2 * c_.latent_channels * channels * latent_; }

  const VaeConfig& c_;
  int64_t latent_;
};

class EncodedChunk : public ConvolvedChunk {
 public:
  EncodedChunk(const VaeConfig& config, int64_t frames, int64_t plane)
      : ConvolvedChunk(frames, plane), c_(config) {}

  void begin(int64_t out) { convolve(27, c_.in_channels, out); }
  void resnet(int64_t in, int64_t out) {
    convolve(27, in, out);
    convolve(27, out, out);
    if (in != out) convolve(1, in, out);
  }
  void downsample(int64_t channels, bool in_time) {
    if (in_time) frames_ = (frames_ + 1) / 2;
    plane_ /= 4;
    convolve(9, channels, channels);
  }
  void end(int64_t in) { convolve(27, in, 2 * c_.latent_channels); }

 private:
  const VaeConfig& c_;
};

}  // namespace

PassShare whole_pass(const Request& request, const Checkpoint& checkpoint) {
  const int64_t rows = joint_rows(request, checkpoint);
  return {{0, rows}, rows * checkpoint.transformer.num_attention_heads};
}

PassFlops transformer_flops(const Request& request, const Checkpoint& checkpoint,
                            const PassShare& share) {
  const TransformerConfig& c = checkpoint.transformer;
  PassFlops flops;
  for (const auto& [name, shape] : transformer_tensors(c)) {
    flops.linear +=
        2 * rows_through(name, share, {0, request.max_text_tokens}) * c10::multiply_integers(shape);
  }
  // q k^T and the product with v.
  flops.attention =
      c.num_layers * 4 * c.attention_head_dim * share.query_rows * joint_rows(request, checkpoint);
  return flops;
}

int64_t text_flops(const Request& request, const Checkpoint& checkpoint) {
  const T5Config& c = checkpoint.text_encoder;
  const int64_t tokens = request.max_text_tokens, inner = c.num_heads * c.d_kv;
  const int64_t linear = 2 * tokens * (4 * inner * c.d_model + 3 * c.d_model * c.d_ff);
  return c.num_layers * (linear + 4 * inner * tokens * tokens);
}

int64_t decode_tile_flops(const Request& request, const Checkpoint& checkpoint, int64_t height,
                          int64_t width) {
  int64_t flops = 0;
  for (const RowRange& frames : temporal_chunks(latent_shape(request, checkpoint).decoded())) {
    DecodedChunk chunk(checkpoint.vae, frames.size(), height * width);
    walk_decoder(checkpoint.vae, chunk);
    flops += chunk.flops();
  }
  return flops;
}

int64_t encode_tile_flops(const Request& request, const Checkpoint& checkpoint, int64_t height,
                          int64_t width) {
  if (request.input_frames() == 0) return 0;
  int64_t flops = 0;
  for (const RowRange& frames : encoder_chunks(request.input_frames())) {
    EncodedChunk chunk(checkpoint.vae, frames.size(), height * width);
    walk_encoder(checkpoint.vae, chunk);
    flops += chunk.flops();
  }
  return flops;
}

}  // namespace cogvx
