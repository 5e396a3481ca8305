#include "core/pipeline/memory_plan.h"

#include <algorithm>

#include "core/base/memory.h"
#include "core/pipeline/component_sizes.h"
#include "core/pipeline/device_memory_plan.h"
#include "core/transformer/positions.h"
#include "core/vae/tiles.h"
#include "core/weights/background_hasher.h"

namespace cogvx {
namespace {

// The program with libtorch's touched pages, and for linear layers what its libraries generate and
// keep to compute with.
constexpr int64_t kProgramBytes = 162'000'000;
constexpr int64_t kLinearBytes = kProgramBytes + 10'000'000;
// What a thread has of its own: a tile of sums, its stack, its heap.
constexpr int64_t kThreadBytes = 256 << 10;
constexpr int64_t kFp32Bytes = 4;
constexpr int64_t kColours = 3;

int64_t stored_bytes(const Checkpoint& checkpoint) {
  return checkpoint.stored_dtype == "F32" ? 4 : 2;
}

// A weight on its way in: its mapped pages, and what is packed instead of them in another dtype.
int64_t arriving_bytes(int64_t elements, int64_t stored, int64_t computed) {
  return elements * (stored + (stored == computed ? 0 : computed));
}
// With the pages of those before it that are being hashed.
int64_t arriving_among_others(int64_t elements, int64_t stored, int64_t computed) {
  return BackgroundHasher::kMostRanges * elements * stored +
         arriving_bytes(elements, stored, computed);
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
  const int64_t embedding = arriving_bytes(c.vocab_size * c.d_model, stored, bytes);
  return kProgramBytes +
         std::max(embedding, layer + arriving_among_others(largest, stored, bytes)) + bias + states;
}

int64_t plan_denoise(const Checkpoint& checkpoint, const Request& request,
                     const DeviceShare& share) {
  const TransformerConfig& c = checkpoint.transformer;
  const int64_t bytes = element_bytes(request.dtype);
  const int64_t d = c.width();
  const LatentShape latents = latent_shape(request, checkpoint);
  const int64_t rows = joint_rows(request, checkpoint);
  const int64_t video = rows - request.max_text_tokens;
  const int64_t weights = transformer_parameters(c) * bytes;
  // q, k and v and the three stacked; or one feed-forward matrix.
  const int64_t stored = stored_bytes(checkpoint);
  const int64_t stacking = std::max(arriving_bytes(3 * d * d, stored, bytes) + 3 * d * d * bytes,
                                    arriving_among_others(4 * d * d, stored, bytes));
  // Residual stream 1, and the wider of qkv + norm 4 and feed-forward 4 + 1. What is too small to
  // be mapped on its own leaves holes in the heap, measured to be nearly as much again.
  constexpr int64_t kActivationWidths = 6, kHoleWidths = 9;
  const int64_t one = share.rows * d * bytes;
  const int64_t holes = one < kMappedBlockBytes ? kHoleWidths * one : 0;
  const int64_t rotary =
      c.use_rotary_positional_embeddings ? 2 * video * c.attention_head_dim * kFp32Bytes : 0;
  const bool sincos =
      added_positions(c, video_grid(request, checkpoint)) == AddedPositions::kSincos;
  const int64_t positions = rotary + (sincos ? std::min(share.rows, video) * d * bytes : 0);
  const int64_t latent_elements =
      latents.frames * latents.channels * latents.height * latents.width;
  constexpr int64_t kLatentCopies = 12;
  const int64_t step = kActivationWidths * one + holes + share.exchange_bytes + positions +
                       kLatentCopies * latent_elements * kFp32Bytes;
  return kLinearBytes + weights + std::max(stacking, step);
}

VaeWork host_work() {
  return {.convolution = [](int64_t, int64_t, int64_t) { return int64_t{0}; },
          .frame_convolution = [](int64_t, int64_t) { return int64_t{0}; },
          .norm = [](int64_t, int64_t) { return int64_t{0}; }};
}

// The decoder with the largest tile in work.
int64_t tile_bytes(const Checkpoint& checkpoint, const Request& request, int threads) {
  const VaeSizes sizes = decoder_sizes(checkpoint, request, host_work());
  return (sizes.weights + sizes.peak) * element_bytes(request.dtype) + threads * kThreadBytes;
}

int64_t plan_decode(const Checkpoint& checkpoint, const Request& request, int threads,
                    const DeviceShare& share) {
  if (!share.decodes) {
    const VaeSizes sizes = decoder_sizes(checkpoint, request, host_work());
    return kProgramBytes + sizes.weights * element_bytes(request.dtype);
  }
  const int64_t program = kProgramBytes + tile_bytes(checkpoint, request, threads);
  if (!share.joins_tiles) return program;
  const int64_t bytes = element_bytes(request.dtype);
  const LatentShape latents = latent_shape(request, checkpoint);
  const TileLayout layout = plan_tiles(request.vae_tile, latents.height, latents.width);
  int64_t tile_pixels = 0;
  for (const Tile& tile : layout.tiles) tile_pixels += tile.height * tile.width * 64;
  const int64_t frames = decoded_frames(latents.decoded());
  // Decoded tiles, once more while they are joined, and the RGB bytes.
  const int64_t output =
      tile_pixels * frames * 3 * bytes + request.height * request.width * frames * 3 * (bytes + 1);
  return program + output;
}

// All processes encode.
int64_t plan_input(const Checkpoint& checkpoint, const Request& request, int threads) {
  const int64_t frames = request.input_frames();
  return frames == 0 ? 0 : plan_encode_video(checkpoint, request, frames, threads);
}

}  // namespace

MemoryPlan plan_shared_memory(const Checkpoint& checkpoint, const Request& request, int threads,
                              const DeviceShare& share) {
  return {.encode_text = share.encodes_text ? plan_text(checkpoint, request) : 0,
          .encode_video = plan_input(checkpoint, request, threads),
          .denoise = plan_denoise(checkpoint, request, share),
          .decode = plan_decode(checkpoint, request, threads, share)};
}

MemoryPlan plan_memory(const Checkpoint& checkpoint, const Request& request, int threads) {
  return plan_shared_memory(checkpoint, request, threads, whole_share(checkpoint, request));
}

MemoryPlan plan_helper_memory(const Checkpoint& checkpoint, const Request& request, int threads) {
  const int64_t weights =
      transformer_parameters(checkpoint.transformer) * element_bytes(request.dtype);
  return {.encode_text = kProgramBytes,
          .encode_video = plan_input(checkpoint, request, threads),
          .denoise = kLinearBytes + weights,
          .decode = kProgramBytes + tile_bytes(checkpoint, request, threads)};
}

int64_t plan_encode_video(const Checkpoint& checkpoint, const Request& request, int64_t frames,
                          int threads) {
  const VaeSizes sizes = encoder_sizes(checkpoint, request, frames, host_work());
  const int64_t bytes = element_bytes(request.dtype);
  const Tile tile =
      largest_tile(plan_encoder_tiles(request.vae_tile, request.height, request.width));
  const int64_t chunk = encoder_chunks(frames)[0].size() * tile.height * tile.width;
  const int64_t pixels = frames * request.height * request.width;
  return kProgramBytes + threads * kThreadBytes +
         (sizes.weights + sizes.peak + kColours * (chunk + pixels)) * bytes + kColours * pixels;
}

}  // namespace cogvx
