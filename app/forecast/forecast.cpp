#include "app/forecast/forecast.h"

#include <ATen/ops/zeros.h>
#include <c10/core/ScalarType.h>

#include <algorithm>

#include "app/continuation.h"
#include "app/device_memory.h"
#include "app/forecast/estimates.h"
#include "app/host_memory.h"
#include "app/memory_check.h"
#include "core/base/errors.h"
#include "core/schedule/scheduler.h"
#include "core/vae/tiles.h"
#include "parallel/ownership.h"

namespace cogvx::app {
namespace {

// The query tiles that a rank attends, as its exchange deals them.
std::vector<AttentionRun> runs_of(const Forecast& run, const Mesh& mesh) {
  const int64_t tiles = ceil_div(run.rows, kBlockRows);
  const int64_t heads = run.checkpoint.transformer.num_attention_heads;
  if (mesh.sp > 1 && sequence_mode(run.plan.placement.sp_mode) == SequenceMode::kUlysses) {
    return deal_units(heads, tiles, mesh.sp,
                      head_split(device_of(run.plan.placement)))[mesh.sp_rank()];
  }
  const RowRange own = deal_rows(run.rows, mesh.sp)[mesh.sp_rank()];
  std::vector<AttentionRun> runs;
  for (int64_t head = 0; head < heads; ++head)
    runs.push_back({head, own.begin / kBlockRows, ceil_div(own.end, kBlockRows)});
  return runs;
}

void count_tiles(const Forecast& run, RankForecast& rank) {
  const Request& r = run.plan.request;
  const LatentShape latents = latent_shape(r, run.checkpoint);
  for (const Tile& tile :
       own_tiles(plan_tiles(r.vae_tile, latents.height, latents.width), rank.mesh)) {
    ++rank.units.vae_tiles;
    rank.decode_flops += decode_tile_flops(r, run.checkpoint, tile.height, tile.width);
  }
  if (!run.has(Stage::kEncodeVideo)) return;
  for (const Tile& tile : own_tiles(plan_encoder_tiles(r.vae_tile, r.height, r.width), rank.mesh)) {
    ++rank.units.vae_tiles;
    rank.encode_flops += encode_tile_flops(r, run.checkpoint, tile.height, tile.width);
  }
}

void plan_rank_memory(const Forecast& run, RankForecast& rank) {
  if (run.plan.placement.device == "cuda") {
    const OffloadPlans plans = offload_plans(run.plan, run.checkpoint, rank.mesh);
    rank.device_none = plans.none;
    rank.device_sequential = plans.sequential;
  }
  rank.host = plan_host_memory(run.plan, run.checkpoint, rank.mesh);
}

// How many texts are encoded.
int64_t prompts_of(const Forecast& run) {
  if (!run.has(Stage::kEncodeText)) return 0;
  const Request& r = run.plan.request;
  return r.uses_guidance() && r.prompt != r.negative_prompt ? 2 : 1;
}

RankForecast forecast_rank(const Forecast& run, const Mesh& mesh) {
  const TransformerConfig& c = run.checkpoint.transformer;
  RankForecast rank{.mesh = mesh, .rows = deal_rows(run.rows, mesh.sp)[mesh.sp_rank()]};
  const auto steps = static_cast<int64_t>(run.timesteps.size());
  rank.passes = steps * (mesh.cp == 2 ? 1 : run.branches);
  PassShare share{.rows = rank.rows, .query_rows = 0};
  int64_t tiles = 0;
  for (const AttentionRun& attended : runs_of(run, mesh)) {
    tiles += attended.tile_end - attended.tile_begin;
    share.query_rows +=
        std::min(run.rows, attended.tile_end * kBlockRows) - attended.tile_begin * kBlockRows;
  }
  if (run.has(Stage::kDenoise))
    rank.pass = transformer_flops(run.plan.request, run.checkpoint, share);
  const int64_t layers = rank.passes * c.num_layers;
  rank.units.prompts = mesh.rank == 0 ? prompts_of(run) : 0;
  rank.units.row_blocks = layers * ceil_div(rank.rows.size(), kBlockRows);
  rank.units.attention_tiles = layers * tiles;
  count_tiles(run, rank);
  plan_rank_memory(run, rank);
  forecast_bytes(run, rank);
  return rank;
}

// The noise that each step draws: which steps do, and in what type, depends on neither numbers nor
// sizes, so that one latent stands for all.
std::vector<int64_t> noise_bytes_of_steps(const Request& request, int64_t latents) {
  const Scheduler scheduler(request.scheduler, request.steps, request.skipped_steps());
  std::vector<int64_t> bytes(scheduler.timesteps().size(), 0);
  SchedulerMemory memory;
  const at::Tensor output = at::zeros({1, 1, 1, 1});
  const at::Tensor sample = at::zeros({1, 1, 1, 1}, at::TensorOptions().dtype(request.dtype));
  for (size_t step = 0; step < bytes.size(); ++step) {
    const NoiseDraw draw = [&](const std::vector<int64_t>& shape, at::ScalarType dtype) {
      bytes[step] += latents * static_cast<int64_t>(c10::elementSize(dtype));
      return at::zeros(shape, at::TensorOptions().dtype(dtype));
    };
    scheduler.step(static_cast<int64_t>(step), output, sample, memory, draw);
  }
  return bytes;
}

void forecast_steps(Forecast& run) {
  if (!run.has(Stage::kDenoise)) return;
  const Request& r = run.plan.request;
  const Scheduler scheduler(r.scheduler, r.steps, r.skipped_steps());
  run.timesteps.assign(scheduler.timesteps().begin() + run.first_step, scheduler.timesteps().end());
  for (const int64_t timestep : run.timesteps) {
    run.guidance.push_back(
        !r.uses_guidance() ? 1
        : r.dynamic_cfg ? dynamic_guidance(r.guidance_scale, r.steps - r.skipped_steps(), timestep)
                        : r.guidance_scale);
  }
  const std::vector<int64_t> noise =
      noise_bytes_of_steps(r, latent_elements(latent_shape(r, run.checkpoint)));
  run.noise_bytes.assign(noise.begin() + run.first_step, noise.end());
}

// Pixels and adapters are not read; all else must be that of the saved run.
void check_continues(const Continuation& saved, Request request) {
  request.input_sha256 = saved.request().input_sha256;
  request.loras = saved.request().loras;
  check_same_request(saved, request);
}

// All processes of the run on this machine, as the run would find it. GPUs are most likely those of
// another machine, so that this one's memory is a note there.
void judge_memory(Forecast& run) {
  const bool gpu = run.plan.placement.device == "cuda";
  if (gpu) run.does_not_fit = fits_no_known_gpu(run);
  try {
    check_memory(memory_need(run.checkpoint, run.plan.request, run.plan.placement.threads,
                             static_cast<int>(run.ranks.size())),
                 run.stages, run.plan.notices);
  } catch (const MemoryError& error) {
    if (gpu) {
      run.plan.notices.push_back(std::string("this machine would refuse it: ") + error.what());
    } else {
      run.does_not_fit = error.what();
    }
  }
}

}  // namespace

int64_t latent_elements(const LatentShape& shape) {
  return shape.frames * shape.channels * shape.height * shape.width;
}

Forecast forecast(const Options& given) {
  check_options(given);
  Options options = given;
  Checkpoint checkpoint = open_checkpoint(options.model);
  const Continuation saved = read_continuation(options, checkpoint);
  // Its seed has been picked already.
  if (!saved.path.empty() && options.seed == -1)
    options.seed = static_cast<int64_t>(saved.request().seed);
  const int world = static_cast<int>(options.cp * options.sp);
  RunPlan plan = resolve(options, checkpoint, {.role = Role::kForecasts, .here = {.size = world}});
  if (!saved.path.empty()) check_continues(saved, plan.request);
  Forecast run{.plan = std::move(plan), .checkpoint = std::move(checkpoint)};
  const Request& r = run.plan.request;
  run.stages = stages_of(options);
  run.offload = options.offload;
  run.starts_anew = saved.path.empty();
  run.first_step = saved.state ? saved.state->state.next_step : 0;
  run.rows = joint_rows(r, run.checkpoint);
  run.branches = r.uses_guidance() ? 2 : 1;
  run.text_flops = prompts_of(run) * text_flops(r, run.checkpoint);
  if (run.has(Stage::kDenoise))
    run.pass = transformer_flops(r, run.checkpoint, whole_pass(r, run.checkpoint));
  forecast_steps(run);
  const Placement& placement = run.plan.placement;
  for (int rank = 0; rank < world; ++rank)
    run.ranks.push_back(forecast_rank(run, make_mesh(placement.cp, placement.sp, world, rank)));
  judge_memory(run);
  return run;
}

}  // namespace cogvx::app
