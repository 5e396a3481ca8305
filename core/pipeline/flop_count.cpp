#include "core/pipeline/flop_count.h"

#include <c10/util/accumulate.h>

#include "core/transformer/tensor_list.h"
#include "core/vae/tiles.h"

namespace cogvx {
namespace {

bool begins(const std::string& name, const char* prefix) { return name.starts_with(prefix); }

// How many rows of a share go through the linear layer of this weight; 0 for what is none.
int64_t rows_through(const std::string& name, const PassShare& share, RowRange text) {
  if (!name.ends_with(".weight") || name.find("norm_q") != std::string::npos ||
      name.find("norm_k") != std::string::npos || name.ends_with("norm.weight") ||
      begins(name, "norm_final"))
    return 0;
  if (begins(name, "time_embedding") || begins(name, "ofs_embedding") ||
      name.find(".linear.weight") != std::string::npos)
    return 1;
  const int64_t text_rows = intersect(share.rows, text).size();
  if (begins(name, "patch_embed.text_proj")) return text_rows;
  if (begins(name, "patch_embed.proj") || begins(name, "proj_out"))
    return share.rows.size() - text_rows;
  return share.rows.size();
}

// Follows the decoder's layers as VaeDecoder::decode_chunk calls them.
class DecodedChunk {
 public:
  DecodedChunk(const VaeConfig& config, int64_t height, int64_t width, int64_t frames)
      : c_(config), latent_(frames * height * width), frames_(frames), plane_(height * width) {}

  int64_t run() {
    const auto& widths = c_.block_out_channels;
    convolve(27, c_.latent_channels, widths.back());
    for (int i = 0; i < 2; ++i) resnet(widths.back(), widths.back());
    int64_t in = widths.back();
    for (size_t i = 0; i < widths.size(); ++i) {
      const int64_t out = widths[widths.size() - 1 - i];
      for (int64_t j = 0; j <= c_.layers_per_block; ++j) resnet(j == 0 ? in : out, out);
      if (i + 1 < widths.size()) upsample(out, /*in_time=*/i < 2);
      in = out;
    }
    norm(in);
    convolve(27, in, c_.out_channels);
    return flops_;
  }

 private:
  void convolve(int64_t taps, int64_t in, int64_t out) {
    flops_ += 2 * taps * in * out * frames_ * plane_;
  }
  // Scale and shift are made on the latent grid.
  void norm(int64_t channels) { flops_ += 2 * 2 * c_.latent_channels * channels * latent_; }
  void resnet(int64_t in, int64_t out) {
    norm(in);
    convolve(27, in, out);
    norm(out);
    convolve(27, out, out);
    if (in != out) convolve(1, in, out);
  }
  void upsample(int64_t channels, bool in_time) {
    if (in_time && frames_ > 1) frames_ = 2 * frames_ - frames_ % 2;
    plane_ *= 4;
    convolve(9, channels, channels);
  }

  const VaeConfig& c_;
  int64_t latent_;
  int64_t frames_;
  int64_t plane_;
  int64_t flops_ = 0;
};

// Follows the encoder's layers as VaeEncoder::encode_chunk calls them.
int64_t encoded_chunk_flops(const VaeConfig& c, int64_t height, int64_t width, int64_t frames) {
  int64_t plane = height * width, flops = 0;
  const auto convolve = [&](int64_t taps, int64_t in, int64_t out) {
    flops += 2 * taps * in * out * frames * plane;
  };
  const auto resnet = [&](int64_t in, int64_t out) {
    convolve(27, in, out);
    convolve(27, out, out);
    if (in != out) convolve(1, in, out);
  };
  const auto& widths = c.block_out_channels;
  convolve(27, c.in_channels, widths.front());
  int64_t in = widths.front();
  for (size_t i = 0; i < widths.size(); ++i) {
    for (int64_t j = 0; j < c.layers_per_block; ++j) resnet(j == 0 ? in : widths[i], widths[i]);
    if (i + 1 < widths.size()) {
      if (i < 2) frames = (frames + 1) / 2;
      plane /= 4;
      convolve(9, widths[i], widths[i]);
    }
    in = widths[i];
  }
  for (int i = 0; i < 2; ++i) resnet(in, in);
  convolve(27, in, 2 * c.latent_channels);
  return flops;
}

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
  for (const RowRange& chunk : temporal_chunks(latent_shape(request, checkpoint).decoded()))
    flops += DecodedChunk(checkpoint.vae, height, width, chunk.size()).run();
  return flops;
}

int64_t encode_tile_flops(const Request& request, const Checkpoint& checkpoint, int64_t height,
                          int64_t width) {
  if (request.input_frames() == 0) return 0;
  int64_t flops = 0;
  for (const RowRange& chunk : encoder_chunks(request.input_frames()))
    flops += encoded_chunk_flops(checkpoint.vae, height, width, chunk.size());
  return flops;
}

}  // namespace cogvx
