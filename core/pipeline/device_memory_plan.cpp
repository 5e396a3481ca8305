#include "core/pipeline/device_memory_plan.h"

#include <c10/util/accumulate.h>

#include <algorithm>

#include "core/ops/formulas.h"
#include "core/pipeline/component_sizes.h"
#include "core/transformer/positions.h"
#include "core/transformer/tensor_list.h"
#include "core/vae/tiles.h"

namespace cogvx {
namespace {

constexpr int64_t kFp32Bytes = 4;
constexpr int64_t kColours = 3;

// Scores [H, T, T] of one layer from the product on: themselves, in fp32, and their softmax.
int64_t text_score_bytes(int64_t bytes) { return bytes == kFp32Bytes ? 2 * bytes : bytes + 8; }

int64_t plan_text(const Checkpoint& checkpoint, const Request& request, Offload offload) {
  const T5Config& c = checkpoint.text_encoder;
  const int64_t bytes = element_bytes(request.dtype);
  const int64_t tokens = request.max_text_tokens;
  const int64_t inner = c.num_heads * c.d_kv;
  const int64_t linear = offload == Offload::kNone ? 4 * inner * c.d_model + 3 * c.d_model * c.d_ff
                                                   : std::max(inner, c.d_ff) * c.d_model;
  const int64_t scores = c.num_heads * tokens * tokens;
  const int64_t prompts = request.uses_guidance() ? 2 : 1;
  // All prompts, and one with its norm in a layer; there q, k, v and scores, or gate and up with
  // the six that gated_gelu makes of them.
  const int64_t states = (prompts + 2) * tokens * c.d_model * bytes;
  const int64_t attention = 3 * tokens * inner * bytes + scores * text_score_bytes(bytes);
  const int64_t feed_forward = 8 * tokens * c.d_ff * bytes;
  return (linear + 2 * c.d_model) * bytes + scores * bytes + states +
         std::max(attention, feed_forward);
}

// What attention of the share's heads makes beside its input and output.
int64_t attention_bytes(const TransformerConfig& c, const Request& request,
                        const DeviceShare& share, int64_t joint) {
  const int64_t bytes = element_bytes(request.dtype);
  const int64_t head = joint * c.attention_head_dim;
  const int64_t own = share.heads * head * bytes;
  if (request.attention != AttentionKernel::kMath) return own + 4 * head * bytes;
  // In fp32: q, k, v where they are not yet, scaled q, the result in parts and whole; scores and
  // their softmax.
  const int64_t copies = bytes == kFp32Bytes ? 3 : 6;
  const int64_t scores = 2 * std::min(formulas::kQueryChunk, joint) * joint;
  return share.attention_streams * (copies * head + scores) * kFp32Bytes;
}

// All but the learned positions, which stay on the host.
int64_t resident_parameters(const TransformerConfig& c) {
  const TensorShapes shapes = transformer_tensors(c);
  const auto learned = shapes.find(kLearnedPositions);
  return transformer_parameters(c) -
         (learned == shapes.end() ? 0 : c10::multiply_integers(learned->second));
}

// Rotary tables of the whole video, and what is added to own rows.
int64_t position_bytes(const Checkpoint& checkpoint, const Request& request,
                       const DeviceShare& share) {
  const TransformerConfig& c = checkpoint.transformer;
  const PatchGrid grid = video_grid(request, checkpoint);
  const AddedPositions added = added_positions(c, grid);
  const int64_t rotary =
      c.use_rotary_positional_embeddings ? 2 * grid.tokens() * c.attention_head_dim : 0;
  const int64_t rows = added == AddedPositions::kNone     ? 0
                       : added == AddedPositions::kSincos ? std::min(share.rows, grid.tokens())
                                                          : share.rows;
  return rotary * kFp32Bytes + rows * c.width() * element_bytes(request.dtype);
}

int64_t plan_denoise(const Checkpoint& checkpoint, const Request& request, const DeviceShare& share,
                     Offload offload) {
  const TransformerConfig& c = checkpoint.transformer;
  const int64_t bytes = element_bytes(request.dtype);
  const int64_t d = c.width();
  const int64_t joint = joint_rows(request, checkpoint);
  const int64_t one = share.rows * d * bytes;
  const bool resident = offload == Offload::kNone;
  const int64_t norms = (c.num_layers * 4 * (d + c.attention_head_dim) + 4 * d) * kFp32Bytes;
  const int64_t weights = resident ? resident_parameters(c) * bytes : norms;
  const int64_t positions = position_bytes(checkpoint, request, share);
  const int64_t modulation = (12 * d + 4 * c.time_embed_dim) * bytes;
  const auto brought = [&](int64_t elements) { return resident ? 0 : elements * bytes; };
  // Normed rows with q, k, v; attention; normed rows or the result with the wide hidden ones.
  const int64_t block =
      std::max({4 * one + brought(3 * d * d), attention_bytes(c, request, share, joint),
                5 * one + brought(4 * d * d), brought(6 * d * c.time_embed_dim)});
  // Before the first pass: a layer's input once and its result twice, of the feed-forward, which
  // has the largest, with one layer of each kind that is shared out.
  const int64_t check =
      9 * share.checked_rows * d * bytes + brought(12 * d * d + c.text_embed_dim * d);
  return weights + share.exchange_bytes + std::max(positions + one + modulation + block, check);
}

// What CudaOps makes beside a layer's input and output.
VaeWork device_work(const Checkpoint& checkpoint, int64_t bytes) {
  // Of one group at a time, in fp32: centred, times its factor, the sum; and x where it is not yet.
  const int64_t copies = bytes == kFp32Bytes ? 3 : 4;
  const int64_t groups = checkpoint.vae.norm_num_groups;
  return {.by_copies = true,
          .convolution = [](int64_t in, int64_t out,
                            int64_t frames) { return in * (frames + 2) + out * frames; },
          .frame_convolution = [](int64_t in, int64_t out) { return in + out; },
          .norm =
              [=](int64_t channels, int64_t frames) {
                return copies * (channels / groups) * frames * kFp32Bytes / bytes;
              }};
}

int64_t plan_decode(const Checkpoint& checkpoint, const Request& request,
                    const DeviceShare& share) {
  const int64_t bytes = element_bytes(request.dtype);
  const LatentShape latents = latent_shape(request, checkpoint);
  const TileLayout layout = plan_tiles(request.vae_tile, latents.height, latents.width);
  const VaeSizes sizes = decoder_sizes(checkpoint, request, largest_tile(layout.tiles),
                                       device_work(checkpoint, bytes));
  const int64_t beside = sizes.weights * bytes;
  if (!share.joins_tiles) return beside + sizes.peak * bytes;
  const int64_t line = decoded_frames(latents.decoded()) * kColours;
  const int64_t video = request.height * request.width * line;
  int64_t tiles = 0;
  for (const Tile& tile : layout.tiles)
    tiles += tile.height * tile.width * kSpatialCompression * kSpatialCompression * line;
  // Tiles, rows of them and the whole; or the whole and its bytes.
  const int64_t joining = layout.tiles.size() > 1 ? (tiles + 2 * video) * bytes : 0;
  return beside + std::max({sizes.peak * bytes, joining, video * (bytes + 1)});
}

}  // namespace

DeviceShare whole_share(const Checkpoint& checkpoint, const Request& request) {
  const TransformerConfig& c = checkpoint.transformer;
  const int64_t rows = joint_rows(request, checkpoint);
  const LatentShape latents = latent_shape(request, checkpoint);
  return {.rows = rows,
          .heads = c.num_attention_heads,
          .exchange_bytes = 4 * rows * c.width() * element_bytes(request.dtype),
          .encoded = plan_encoder_tiles(request.vae_tile, request.height, request.width).tiles,
          .decoded = plan_tiles(request.vae_tile, latents.height, latents.width).tiles};
}

MemoryPlan plan_device_memory(const Checkpoint& checkpoint, const Request& request,
                              const DeviceShare& share, Offload offload) {
  const int64_t held = share.held_bytes, frames = request.input_frames();
  return {.encode_text = share.encodes_text ? held + plan_text(checkpoint, request, offload) : 0,
          .encode_video =
              frames == 0 ? 0 : plan_device_encode_video(checkpoint, request, frames, share),
          .denoise = held + plan_denoise(checkpoint, request, share, offload),
          .decode = held + plan_decode(checkpoint, request, share)};
}

int64_t plan_device_encode_video(const Checkpoint& checkpoint, const Request& request,
                                 int64_t frames, const DeviceShare& share) {
  const int64_t bytes = element_bytes(request.dtype);
  const TileLayout layout = plan_encoder_tiles(request.vae_tile, request.height, request.width);
  const VaeSizes sizes =
      encoder_sizes(checkpoint, frames, largest_tile(layout.tiles), device_work(checkpoint, bytes));
  return share.held_bytes + (sizes.weights + sizes.peak) * bytes;
}

}  // namespace cogvx
