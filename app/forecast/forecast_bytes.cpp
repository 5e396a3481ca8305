#include <ATen/ops/zeros.h>
#include <c10/core/ScalarType.h>

#include "app/forecast/forecast.h"
#include "core/pipeline/component_sizes.h"
#include "core/schedule/scheduler.h"
#include "core/vae/tiles.h"
#include "parallel/ownership.h"
#include "parallel/predicted_bytes.h"

namespace cogvx::app {
namespace {

constexpr int64_t kColours = 3;
constexpr int64_t kAgreementBytes = 8;  // of a hash
// The engine, the request, the transformer, the latents before the first step.
constexpr int64_t kAgreementsBeside = 4;

int64_t latent_elements(const LatentShape& shape) {
  return shape.frames * shape.channels * shape.height * shape.width;
}

// Decoded or encoded tiles that this rank sends to the first.
int64_t sent_elements(const TileLayout& layout, const Mesh& mesh, int64_t elements_per_position) {
  if (mesh.rank == 0) return 0;
  std::vector<int64_t> areas;
  for (const Tile& tile : layout.tiles) areas.push_back(tile.height * tile.width);
  const std::vector<int> owners = deal_tiles(areas, mesh.world());
  int64_t sent = 0;
  for (size_t i = 0; i < areas.size(); ++i) {
    if (owners[i] == mesh.rank) sent += areas[i] * elements_per_position;
  }
  return sent;
}

int64_t tile_bytes(const Forecast& run, const Mesh& mesh) {
  const Request& r = run.plan.request;
  const LatentShape latents = latent_shape(r, run.checkpoint);
  constexpr int64_t kPixels = kSpatialCompression * kSpatialCompression;
  int64_t elements = sent_elements(plan_tiles(r.vae_tile, latents.height, latents.width), mesh,
                                   kColours * decoded_frames(latents.decoded()) * kPixels);
  if (const int64_t frames = r.input_frames(); frames > 0) {
    const int64_t moments = 2 * run.checkpoint.vae.latent_channels * encoded_frames(frames);
    elements +=
        sent_elements(plan_encoder_tiles(r.vae_tile, r.height, r.width), mesh, moments) / kPixels;
  }
  return elements * element_bytes(r.dtype);
}

// What the first rank makes for one other: the input's pixels and what comes of them, the texts,
// all noise.
int64_t made_once_bytes(const Forecast& run) {
  const Request& r = run.plan.request;
  const TransformerConfig& c = run.checkpoint.transformer;
  const int64_t bytes = element_bytes(r.dtype);
  const int64_t latents = latent_elements(latent_shape(r, run.checkpoint));
  int64_t once = r.max_text_tokens * c.text_embed_dim * bytes * (r.uses_guidance() ? 2 : 1);
  once += latents * bytes + noise_bytes_of_steps(r, latents);
  if (const int64_t frames = r.input_frames(); frames > 0) {
    const int64_t mean = run.checkpoint.vae.latent_channels * encoded_frames(frames) *
                         (r.height / kSpatialCompression) * (r.width / kSpatialCompression);
    once += frames * r.height * r.width * kColours + 2 * mean * bytes;
    if (r.task != Task::kControl) once += mean * bytes;  // the posterior's noise
  }
  return once;
}

}  // namespace

int64_t noise_bytes_of_steps(const Request& request, int64_t latent_elements) {
  const Scheduler scheduler(request.scheduler, request.steps, request.skipped_steps());
  int64_t bytes = 0;
  // One latent stands for all: which steps draw, and in what type, does not depend on their number.
  const NoiseDraw draw = [&](const std::vector<int64_t>& shape, at::ScalarType dtype) {
    bytes += static_cast<int64_t>(c10::elementSize(dtype));
    return at::zeros(shape, at::TensorOptions().dtype(dtype));
  };
  SchedulerMemory memory;
  const at::Tensor output = at::zeros({1, 1, 1, 1});
  const at::Tensor sample = at::zeros({1, 1, 1, 1}, at::TensorOptions().dtype(request.dtype));
  for (size_t step = 0; step < scheduler.timesteps().size(); ++step)
    scheduler.step(static_cast<int64_t>(step), output, sample, memory, draw);
  return bytes * latent_elements;
}

BytesMoved forecast_bytes(const Forecast& run, const RankForecast& rank) {
  const Mesh& mesh = rank.mesh;
  BytesMoved bytes;
  if (mesh.world() == 1) return bytes;
  const Request& r = run.plan.request;
  const Placement& placement = run.plan.placement;
  const auto steps = static_cast<int64_t>(run.timesteps.size());
  if (mesh.sp > 1) {
    const PassShape pass =
        pass_shape(r, run.checkpoint, placement.device == "cuda" ? at::kCUDA : at::kCPU);
    const SequencePlace place{mesh.sp_rank(), mesh.sp};
    const SequenceMode mode =
        placement.sp_mode == "gather" ? SequenceMode::kGather : SequenceMode::kUlysses;
    bytes.sequence = {
        .attention = rank.passes * pass.layers * predicted_layer_bytes(mode, pass.sequence, place),
        .gathered = rank.passes * predicted_gather_bytes(pass.sequence, place, pass.video_rows,
                                                         pass.output_row_bytes)};
  }
  bytes.work.once = mesh.rank == 0 ? made_once_bytes(run) * (mesh.world() - 1) : 0;
  if (mesh.cp == 2) {
    bytes.work.branches =
        steps * latent_elements(latent_shape(r, run.checkpoint)) * element_bytes(r.dtype);
  }
  bytes.work.tiles = tile_bytes(run, mesh);
  bytes.agreement = (steps + kAgreementsBeside) * kAgreementBytes * (mesh.world() - 1);
  return bytes;
}

}  // namespace cogvx::app
