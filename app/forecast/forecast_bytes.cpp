#include <algorithm>
#include <numeric>

#include "app/forecast/forecast.h"
#include "app/host_memory.h"
#include "core/pipeline/component_sizes.h"
#include "core/vae/tiles.h"
#include "parallel/ownership.h"
#include "parallel/predicted_bytes.h"

namespace cogvx::app {
namespace {

constexpr int64_t kColours = 3;
constexpr int64_t kAgreementBytes = 8;  // of a hash
// The engine and the request; where steps are made also the transformer and the latents before
// them.
constexpr int64_t kAgreements = 2;
constexpr int64_t kAgreementsToDenoise = 2;

// Decoded or encoded tiles that this rank sends to the first.
int64_t sent_elements(const TileLayout& layout, const Mesh& mesh, int64_t elements_per_position) {
  if (mesh.rank == 0) return 0;
  int64_t sent = 0;
  for (const Tile& tile : own_tiles(layout, mesh))
    sent += tile.height * tile.width * elements_per_position;
  return sent;
}

int64_t tile_bytes(const Forecast& run, const Mesh& mesh) {
  const Request& r = run.plan.request;
  const LatentShape latents = latent_shape(r, run.checkpoint);
  constexpr int64_t kPixels = kSpatialCompression * kSpatialCompression;
  int64_t elements = sent_elements(plan_tiles(r.vae_tile, latents.height, latents.width), mesh,
                                   kColours * decoded_frames(latents.decoded()) * kPixels);
  if (const int64_t frames = r.input_frames(); run.has(Stage::kEncodeVideo)) {
    const int64_t moments = 2 * run.checkpoint.vae.latent_channels * encoded_frames(frames);
    elements +=
        sent_elements(plan_encoder_tiles(r.vae_tile, r.height, r.width), mesh, moments) / kPixels;
  }
  return elements * element_bytes(r.dtype);
}

// What the first rank makes for one other before the first step: the input's pixels and what comes
// of them, the texts, the first noise.
int64_t made_before_steps(const Forecast& run) {
  if (!run.has(Stage::kDenoise)) return 0;
  const Request& r = run.plan.request;
  const TransformerConfig& c = run.checkpoint.transformer;
  const int64_t bytes = element_bytes(r.dtype);
  int64_t once = r.max_text_tokens * c.text_embed_dim * bytes * (r.uses_guidance() ? 2 : 1);
  if (run.starts_anew) once += latent_elements(latent_shape(r, run.checkpoint)) * bytes;
  if (const int64_t frames = r.input_frames(); run.has(Stage::kEncodeVideo)) {
    const int64_t mean = run.checkpoint.vae.latent_channels * encoded_frames(frames) *
                         (r.height / kSpatialCompression) * (r.width / kSpatialCompression);
    once += frames * r.height * r.width * kColours + 2 * mean * bytes;
    if (r.task != Task::kControl) once += mean * bytes;  // the posterior's noise
  }
  return once;
}

// Of a step, but for the noise that it draws.
BytesMoved bytes_of_step(const Forecast& run, const RankForecast& rank) {
  const Mesh& mesh = rank.mesh;
  const Request& r = run.plan.request;
  const Placement& placement = run.plan.placement;
  BytesMoved bytes;
  if (mesh.sp > 1) {
    const int64_t passes = rank.passes / std::ssize(run.timesteps);
    const PassShape pass = pass_shape(r, run.checkpoint, device_of(placement));
    const SequencePlace place{mesh.sp_rank(), mesh.sp};
    const SequenceMode mode = sequence_mode(placement.sp_mode);
    bytes.sequence = {
        .attention = passes * pass.layers * predicted_layer_bytes(mode, pass.sequence, place),
        .gathered = passes * predicted_gather_bytes(pass.sequence, place, pass.video_rows,
                                                    pass.output_row_bytes)};
  }
  if (mesh.cp == 2) {
    bytes.work.branches = latent_elements(latent_shape(r, run.checkpoint)) * element_bytes(r.dtype);
  }
  bytes.agreement = kAgreementBytes * (mesh.world() - 1);
  return bytes;
}

}  // namespace

void forecast_bytes(const Forecast& run, RankForecast& rank) {
  const Mesh& mesh = rank.mesh;
  if (mesh.world() == 1) return;
  const int64_t others = mesh.rank == 0 ? mesh.world() - 1 : 0;  // that get what is made once
  const std::vector<int64_t>& noise = run.noise_bytes;
  const auto steps = std::ssize(run.timesteps);
  if (steps > 0) {
    rank.step_bytes = bytes_of_step(run, rank);
    rank.step_bytes.work.once = others * *std::ranges::max_element(noise);
  }
  const BytesMoved& step = rank.step_bytes;
  const int64_t agreements = kAgreements + (run.has(Stage::kDenoise) ? kAgreementsToDenoise : 0);
  rank.bytes = {
      .sequence = {.attention = steps * step.sequence.attention,
                   .gathered = steps * step.sequence.gathered},
      .work = {.once = others * (made_before_steps(run) +
                                 std::accumulate(noise.begin(), noise.end(), int64_t{0})),
               .branches = steps * step.work.branches,
               .tiles = tile_bytes(run, mesh)},
      .agreement = steps * step.agreement + agreements * kAgreementBytes * (mesh.world() - 1)};
}

}  // namespace cogvx::app
