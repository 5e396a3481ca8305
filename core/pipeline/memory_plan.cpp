#include "core/pipeline/memory_plan.h"

#include <algorithm>

#include "core/vae/tiles.h"

namespace cogvx {
namespace {

// The program, libtorch's touched pages and its caches of generated kernels.
constexpr int64_t kRuntimeBytes = 190'000'000;
constexpr int64_t kFp32Bytes = 4;

int64_t element_bytes(at::ScalarType dtype) { return dtype == at::kFloat ? 4 : 2; }

int64_t stored_bytes(const Checkpoint& checkpoint) {
  return checkpoint.stored_dtype == "F32" ? 4 : 2;
}

// A tensor on its way in: its mapped pages, its copy, the copy in the compute dtype.
int64_t conversion_bytes(int64_t elements, int64_t stored, int64_t computed) {
  return elements * (2 * stored + (stored == computed ? 0 : computed));
}

int64_t plan_text(const Checkpoint& checkpoint, const Request& request) {
  const T5Config& c = checkpoint.text_encoder;
  const int64_t bytes = element_bytes(request.dtype);
  const int64_t stored = stored_bytes(checkpoint);
  const int64_t inner = c.num_heads * c.d_kv;
  const int64_t tokens = request.max_text_tokens;
  const int64_t layer = (4 * inner * c.d_model + 3 * c.d_model * c.d_ff) * bytes;
  const int64_t largest = std::max(inner, c.d_ff) * c.d_model;
  const int64_t bias = c.num_heads * tokens * tokens * bytes;
  const int64_t states = tokens * (4 * c.d_model + 3 * inner + 4 * c.d_ff) * bytes;
  const int64_t embedding = conversion_bytes(c.vocab_size * c.d_model, stored, bytes);
  return kRuntimeBytes + std::max(embedding, layer + conversion_bytes(largest, stored, bytes)) +
         bias + states;
}

int64_t transformer_parameters(const TransformerConfig& c) {
  const int64_t d = c.width();
  const int64_t block = 12 * d * d + 13 * d + 2 * (6 * d * c.time_embed_dim + 6 * d + 2 * d) +
                        4 * c.attention_head_dim;
  const int64_t patch = c.in_channels * c.patch_size * c.patch_size;
  const int64_t ends = (patch + c.text_embed_dim + c.time_embed_dim) * d +
                       c.time_embed_dim * c.time_embed_dim + 2 * d * c.time_embed_dim +
                       c.out_channels * c.patch_size * c.patch_size * d;
  return c.num_layers * block + ends;
}

int64_t plan_denoise(const Checkpoint& checkpoint, const Request& request) {
  const TransformerConfig& c = checkpoint.transformer;
  const int64_t bytes = element_bytes(request.dtype);
  const int64_t d = c.width();
  const LatentShape latents = latent_shape(request, checkpoint);
  const int64_t rows = joint_rows(request, checkpoint);
  const int64_t video = rows - request.max_text_tokens;
  const int64_t weights = transformer_parameters(c) * bytes;
  // The stacked q, k, v: three tensors, stacked, next to packed ones; or one feed-forward matrix.
  const int64_t stacking =
      std::max(conversion_bytes(d * d, stored_bytes(checkpoint), bytes) + 5 * d * d * bytes,
               conversion_bytes(4 * d * d, stored_bytes(checkpoint), bytes));
  // Residual stream 1, exchange 3 + 1, and the wider of qkv + norm 4 and feed-forward 4 + 1.
  constexpr int64_t kActivationWidths = 10;
  const int64_t positions = c.use_rotary_positional_embeddings
                                ? 2 * video * c.attention_head_dim * kFp32Bytes
                                : video * d * bytes;
  const int64_t latent_elements =
      latents.frames * latents.channels * latents.height * latents.width;
  constexpr int64_t kLatentCopies = 12;
  const int64_t step = kActivationWidths * rows * d * bytes + positions +
                       kLatentCopies * latent_elements * kFp32Bytes;
  return kRuntimeBytes + weights + std::max(stacking, step);
}

// Follows the decoder's widths from the latents to the frames; sizes in elements.
class DecoderWalk {
 public:
  DecoderWalk(const VaeConfig& config, const Tile& tile, int64_t latent_frames, int threads)
      : c_(config), frames_(latent_frames), plane_(tile.height * tile.width), threads_(threads) {}

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
  int64_t frames() const { return frames_; }

 private:
  // `held` channels live beside the padded input and the output.
  void causal_convolution(int64_t in, int64_t out, int64_t held) {
    weights_ += 27 * in * out + 2 * c_.latent_channels * in;
    // Each thread has one frame's input window and output in work, both plain and in the library's
    // own layout.
    const int64_t in_work = threads_ * 2 * (3 * in + out);
    peak_ = std::max(peak_, ((held + out) * frames_ + in * (frames_ + 2) + in_work) * plane_);
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
    peak_ = std::max(peak_, before + 2 * channels * frames_ * plane_);
  }

  const VaeConfig& c_;
  int64_t frames_;
  int64_t plane_;
  int64_t threads_;
  int64_t weights_ = 0;
  int64_t peak_ = 0;
  int64_t caches_ = 0;
};

// The decoder with the largest tile in work.
int64_t tile_bytes(const Checkpoint& checkpoint, const Request& request, int threads) {
  const LatentShape latents = latent_shape(request, checkpoint);
  const TileLayout layout = plan_tiles(request.vae_tile, latents.height, latents.width);
  const Tile largest = *std::max_element(
      layout.tiles.begin(), layout.tiles.end(),
      [](const Tile& a, const Tile& b) { return a.height * a.width < b.height * b.width; });
  DecoderWalk walk(checkpoint.vae, largest, temporal_chunks(latents.frames)[0].size(), threads);
  walk.run();
  return (walk.weights() + walk.peak()) * element_bytes(request.dtype);
}

int64_t plan_decode(const Checkpoint& checkpoint, const Request& request, int threads) {
  const int64_t bytes = element_bytes(request.dtype);
  const LatentShape latents = latent_shape(request, checkpoint);
  const TileLayout layout = plan_tiles(request.vae_tile, latents.height, latents.width);
  int64_t tile_pixels = 0;
  for (const Tile& tile : layout.tiles) tile_pixels += tile.height * tile.width * 64;
  const int64_t frames = decoded_frames(latents.frames);
  // Decoded tiles, once more while they are joined, and the RGB bytes.
  const int64_t output =
      tile_pixels * frames * 3 * bytes + request.height * request.width * frames * 3 * (bytes + 1);
  return kRuntimeBytes + tile_bytes(checkpoint, request, threads) + output;
}

}  // namespace

MemoryPlan plan_memory(const Checkpoint& checkpoint, const Request& request, int threads) {
  return {.encode_text = plan_text(checkpoint, request),
          .denoise = plan_denoise(checkpoint, request),
          .decode = plan_decode(checkpoint, request, threads)};
}

MemoryPlan plan_helper_memory(const Checkpoint& checkpoint, const Request& request, int threads) {
  const int64_t weights =
      transformer_parameters(checkpoint.transformer) * element_bytes(request.dtype);
  return {.encode_text = kRuntimeBytes,
          .denoise = kRuntimeBytes + weights,
          .decode = kRuntimeBytes + tile_bytes(checkpoint, request, threads)};
}

}  // namespace cogvx
