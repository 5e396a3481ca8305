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

// The program with libtorch's touched pages.
constexpr int64_t kProgramBytes = 162'000'000;
// Code that libtorch's libraries generate for the text encoder's matrix products, and what they
// keep of it.
constexpr int64_t kTextLeavesBytes = 10'000'000;
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

int64_t program_bytes(const DeviceShare& share) {
  return kProgramBytes + (share.encodes_text ? kTextLeavesBytes : 0);
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

// Of one forward pass, beside weights and exchange.
int64_t pass_bytes(const Checkpoint& checkpoint, const Request& request, const DeviceShare& share) {
  const TransformerConfig& c = checkpoint.transformer;
  const int64_t width = c.width() * element_bytes(request.dtype);
  const PatchGrid grid = video_grid(request, checkpoint);
  const int64_t rotary = c.use_rotary_positional_embeddings
                             ? 2 * grid.tokens() * c.attention_head_dim * kFp32Bytes
                             : 0;
  // A table of the whole video, of which own rows stay.
  const bool sincos = added_positions(c, grid) == AddedPositions::kSincos;
  const int64_t table = sincos ? grid.tokens() * width : 0;
  const int64_t positions = sincos ? std::min(share.rows, grid.tokens()) * width : 0;
  // Residual stream 1, and the wider of norm 1 + qkv 3 and norm 1 + feed-forward 4.
  constexpr int64_t kActivationWidths = 6, kQkvWidths = 3;
  const int64_t one = share.rows * width;
  // On the heap, q, k and v leave a place that is too narrow for the feed-forward.
  const int64_t left = kQkvWidths * one < kMappedBlockBytes ? kQkvWidths * one : 0;
  constexpr int64_t kLatentCopies = 12;
  const LatentShape latents = latent_shape(request, checkpoint);
  return rotary + positions + std::max(table, kActivationWidths * one + left) +
         kLatentCopies * latents.frames * latents.channels * latents.height * latents.width *
             kFp32Bytes;
}

int64_t plan_denoise(const Checkpoint& checkpoint, const Request& request,
                     const DeviceShare& share) {
  const TransformerConfig& c = checkpoint.transformer;
  const int64_t bytes = element_bytes(request.dtype);
  const int64_t d = c.width();
  const int64_t weights = transformer_parameters(c) * bytes;
  // The last feed-forward matrix on its way in; all else lies packed then.
  const int64_t arriving = arriving_bytes(4 * d * d, stored_bytes(checkpoint), bytes);
  const int64_t step = share.exchange_bytes + pass_bytes(checkpoint, request, share);
  return program_bytes(share) + weights + std::max(arriving, step);
}

VaeWork host_work() {
  return {.convolution = [](int64_t, int64_t, int64_t) { return int64_t{0}; },
          .frame_convolution = [](int64_t, int64_t) { return int64_t{0}; },
          .norm = [](int64_t, int64_t) { return int64_t{0}; }};
}

int64_t positions_of(const std::vector<Tile>& tiles) {
  int64_t positions = 0;
  for (const Tile& tile : tiles) positions += tile.height * tile.width;
  return positions;
}

// Every process has the decoder; the tiles that it has decoded stay until the first has all of
// them.
int64_t plan_decode(const Checkpoint& checkpoint, const Request& request, int threads,
                    const DeviceShare& share) {
  const int64_t bytes = element_bytes(request.dtype);
  const LatentShape latents = latent_shape(request, checkpoint);
  const TileLayout layout = plan_tiles(request.vae_tile, latents.height, latents.width);
  const VaeSizes sizes =
      decoder_sizes(checkpoint, request, largest_tile(share.decoded), host_work());
  const int64_t base = program_bytes(share) + sizes.weights * bytes + threads * kThreadBytes;
  const int64_t work = sizes.peak * bytes;
  const int64_t line = kColours * decoded_frames(latents.decoded());
  constexpr int64_t kPixels = kSpatialCompression * kSpatialCompression;
  const auto decoded = [&](const std::vector<Tile>& tiles) {
    return kPixels * positions_of(tiles) * line * bytes;
  };
  const int64_t own = decoded(share.decoded), all = decoded(layout.tiles);
  if (!share.joins_tiles) return base + work + own;
  const int64_t pixels = request.height * request.width * line;
  // What comes from others lies in a copy too; tiles, rows of them and the whole; that and its
  // bytes.
  const int64_t gathered = own + 2 * (all - own);
  const int64_t joined = layout.tiles.size() > 1 ? all + 2 * pixels * bytes : 0;
  return base + std::max({work + all, gathered, joined, pixels * (bytes + 1)});
}

// Every process has the pixels, as bytes and in the compute dtype, and a tile of them.
int64_t plan_encode(const Checkpoint& checkpoint, const Request& request, int threads,
                    const DeviceShare& share) {
  const int64_t frames = request.input_frames();
  if (frames == 0) return 0;
  const int64_t bytes = element_bytes(request.dtype);
  const Tile tile = largest_tile(share.encoded);
  const VaeSizes sizes = encoder_sizes(checkpoint, frames, tile, host_work());
  const int64_t chunk = kColours * encoder_chunks(frames)[0].size() * tile.height * tile.width;
  const int64_t pixels = kColours * frames * request.height * request.width;
  return program_bytes(share) + threads * kThreadBytes +
         (sizes.weights + sizes.peak + chunk + pixels) * bytes + pixels;
}

}  // namespace

MemoryPlan plan_shared_memory(const Checkpoint& checkpoint, const Request& request, int threads,
                              const DeviceShare& share) {
  return {.encode_text = share.encodes_text ? plan_text(checkpoint, request) : 0,
          .encode_video = plan_encode(checkpoint, request, threads, share),
          .denoise = plan_denoise(checkpoint, request, share),
          .decode = plan_decode(checkpoint, request, threads, share)};
}

MemoryPlan plan_memory(const Checkpoint& checkpoint, const Request& request, int threads) {
  return plan_shared_memory(checkpoint, request, threads, whole_share(checkpoint, request));
}

MemoryPlan plan_helper_memory(const Checkpoint& checkpoint, const Request& request, int threads) {
  DeviceShare share = whole_share(checkpoint, request);
  share.encodes_text = share.joins_tiles = false;
  share.encoded = {largest_tile(share.encoded)};
  share.decoded = {largest_tile(share.decoded)};
  const int64_t weights =
      transformer_parameters(checkpoint.transformer) * element_bytes(request.dtype);
  return {.encode_text = kProgramBytes,
          .encode_video = plan_encode(checkpoint, request, threads, share),
          .denoise = kProgramBytes + weights,
          .decode = plan_decode(checkpoint, request, threads, share)};
}

}  // namespace cogvx
