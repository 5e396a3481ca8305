#include "core/pipeline/unit_ledger.h"

#include "core/base/shapes.h"
#include "core/vae/tiles.h"

namespace cogvx {

void UnitLedger::count_layer(SequenceExchange& exchange) {
  row_blocks += ceil_div(exchange.rows().size(), kBlockRows);
  for (int group = 0; group < exchange.head_groups(); ++group) {
    for (const AttentionRun& run : exchange.runs(group))
      attention_tiles += run.tile_end - run.tile_begin;
  }
}

UnitLedger& UnitLedger::operator+=(const UnitLedger& other) {
  prompts += other.prompts;
  row_blocks += other.row_blocks;
  attention_tiles += other.attention_tiles;
  vae_tiles += other.vae_tiles;
  return *this;
}

UnitLedger all_units(const Request& request, const Checkpoint& checkpoint, const RunExtent& run) {
  const TransformerConfig& config = checkpoint.transformer;
  const LatentShape latents = latent_shape(request, checkpoint);
  const int64_t passes = (run.steps - run.first_step) * (request.uses_guidance() ? 2 : 1);
  const int64_t blocks =
      passes * config.num_layers * ceil_div(joint_rows(request, checkpoint), kBlockRows);
  const TileLayout decoded = plan_tiles(request.vae_tile, latents.height, latents.width);
  const TileLayout encoded = plan_encoder_tiles(request.vae_tile, request.height, request.width);
  return {.prompts = run.prompts,
          .row_blocks = blocks,
          .attention_tiles = blocks * config.num_attention_heads,
          .vae_tiles = std::ssize(decoded.tiles) + run.videos * std::ssize(encoded.tiles)};
}

}  // namespace cogvx
