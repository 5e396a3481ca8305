#include "core/pipeline/stages.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>

#include <array>
#include <map>
#include <optional>

#include "core/base/errors.h"
#include "core/base/random.h"
#include "core/pipeline/finite.h"
#include "core/pipeline/shared_noise.h"
#include "core/text/t5_encoder.h"
#include "core/vae/tiles.h"
#include "core/weights/weight_map.h"

namespace cogvx {
namespace {

constexpr int64_t kRgbChannels = 3;

// A colour that every pixel of a video rgb_FYX3 has, if there is one.
std::optional<std::array<int, 3>> only_colour(const at::Tensor& rgb_FYX3) {
  const auto* bytes = rgb_FYX3.const_data_ptr<uint8_t>();
  for (int64_t i = 3; i < rgb_FYX3.numel(); ++i) {
    if (bytes[i] != bytes[i - 3]) return std::nullopt;
  }
  return std::array<int, 3>{bytes[0], bytes[1], bytes[2]};
}

void notice_one_colour(const at::Tensor& rgb_FYX3, const Monitor& monitor) {
  const auto colour = only_colour(rgb_FYX3);
  if (!colour) return;
  const auto& [red, green, blue] = *colour;
  monitor.notice(std::string("every pixel of the video is ") +
                 (red + green + blue == 0 ? "black" : "of one colour") + " (RGB " +
                 std::to_string(red) + ", " + std::to_string(green) + ", " + std::to_string(blue) +
                 "); is the checkpoint a trained one?");
}

Rung step_rung(int64_t step, int branch) {
  return {Rung::Part::kStep, static_cast<int32_t>(step) + 1, branch, 0};
}

// One forward pass per branch -> guided prediction, fp32.
class GuidedPrediction {
 public:
  // Of a step: the share that is done, and how many blocks of the branch.
  using PartCallback = std::function<void(double part, int64_t layer, int64_t layers)>;

  explicit GuidedPrediction(const Denoising& run) : run_(run) {}

  // step counts from 0.
  at::Tensor at_step(int64_t step, int64_t timestep, const at::Tensor& latents,
                     const PartCallback& part_done) {
    const Request& request = run_.request;
    if (!request.uses_guidance()) {
      return run_branch({step, /*branch=*/1, timestep}, run_.text.prompt, latents, part_done)
          .to(at::kFloat);
    }
    std::array<at::Tensor, 2> predictions;
    const std::array<at::Tensor, 2> texts = {run_.text.negative, run_.text.prompt};
    const int owned = run_.work.owns_branch(0) + run_.work.owns_branch(1);
    int done = 0;
    for (int branch = 0; branch < 2; ++branch) {
      if (!run_.work.owns_branch(branch)) continue;
      predictions[branch] = run_branch({step, branch, timestep}, texts[branch], latents,
                                       [&](double part, int64_t layer, int64_t layers) {
                                         part_done((done + part) / owned, layer, layers);
                                       });
      ++done;
    }
    run_.work.share_branches({latents.sizes().vec(), request.dtype}, predictions);
    const at::Tensor negative = predictions[0].to(at::kFloat);
    const at::Tensor prompt = predictions[1].to(at::kFloat);
    const double scale = request.dynamic_cfg
                             ? dynamic_guidance(request.guidance_scale,
                                                request.steps - request.skipped_steps(), timestep)
                             : request.guidance_scale;
    return negative + scale * (prompt - negative);
  }

 private:
  struct Pass {
    int64_t step;
    int branch;
    int64_t timestep;
  };

  // Noise before condition, both guidance branches alike.
  at::Tensor with_condition(const at::Tensor& latents_LCYX) const {
    if (!run_.condition_LCYX.defined()) return latents_LCYX;
    return at::cat({latents_LCYX, run_.condition_LCYX}, /*dim=*/1);
  }

  at::Tensor run_branch(const Pass& pass, const at::Tensor& text_TE, const at::Tensor& latents,
                        const PartCallback& part_done) {
    const auto after_block = [&](int64_t done, int64_t total) {
      if (run_.watch.units != nullptr) run_.watch.units->count_layer(run_.exchange);
      part_done(static_cast<double>(done) / static_cast<double>(total), done, total);
    };
    StageRecorder* recorder = run_.watch.recorder;
    Rung rung = step_rung(pass.step, pass.branch);
    RowsCallback on_rows;
    if (recorder != nullptr) {
      on_rows = [&](int64_t layer, const at::Tensor& x_nD) {
        rung.layer = static_cast<int32_t>(layer);
        recorder->rows(rung, x_nD, run_.exchange.rows().begin);
      };
    }
    at::Tensor prediction = run_.transformer.forward(
        with_condition(latents), text_TE, pass.timestep, run_.exchange, {after_block, on_rows});
    rung.layer = Rung::kPrediction;
    if (recorder != nullptr) recorder->whole(rung, prediction);
    return prediction;
  }

  const Denoising& run_;
};

// Throws NumericError for the first frame that is not finite.
void check_frames(const at::Tensor& video_CFYX) {
  for (int64_t i = 0; i < video_CFYX.size(1); ++i) {
    const at::Tensor frame = video_CFYX.select(1, i);
    if (!all_finite(frame)) {
      throw NumericError("decode: frame " + std::to_string(i) +
                         " has values that are not finite in " + dtype_name(frame.scalar_type()) +
                         "; " + cure_for_overflow(frame.scalar_type()));
    }
  }
}

// Decoded tiles, on the host -> uint8 [F, H, W, 3]; only these bytes come back from a device.
at::Tensor join_tiles(const TileLayout& layout, std::vector<at::Tensor> tiles, Ops& ops) {
  for (at::Tensor& tile : tiles) tile = ops.upload(tile);
  const at::Tensor video_CFYX = blend_tiles(layout, std::move(tiles), ops);
  check_frames(video_CFYX);
  return ops.download(ops.to_rgb(video_CFYX));
}

}  // namespace

EncodedTexts encode_texts(const Checkpoint& checkpoint, const std::vector<PromptIds>& requests,
                          at::ScalarType dtype, Ops& ops, const Monitor& monitor) {
  std::map<std::vector<int64_t>, size_t> slot_of;
  std::vector<std::vector<int64_t>> unique;
  const auto slot = [&](const std::vector<int64_t>& ids) {
    const auto [place, fresh] = slot_of.try_emplace(ids, unique.size());
    if (fresh) unique.push_back(ids);
    return place->second;
  };
  EncodedTexts result{};
  for (const PromptIds& request : requests) {
    const size_t before = unique.size();
    slot(request.prompt);
    if (!request.negative.empty()) slot(request.negative);
    result.encoded.push_back(static_cast<int64_t>(unique.size() - before));
  }
  WeightMap weights(checkpoint.dir / "text_encoder", "model");
  const std::vector<at::Tensor> states =
      encode_prompts(unique, checkpoint.text_encoder, weights, dtype, ops, monitor);
  result.sha256 = weights.content_sha256();
  for (const PromptIds& request : requests) {
    result.states.push_back(
        {.prompt = states[slot(request.prompt)],
         .negative = request.negative.empty() ? at::Tensor() : states[slot(request.negative)]});
  }
  return result;
}

DenoiseState initial_state(const Request& request, const LatentShape& s, WorkExchange& work,
                           Beginning beginning) {
  DenoiseState state{.latents_LCYX = {}, .memory = {}, .generator = std::move(beginning.generator)};
  state.latents_LCYX =
      shared_noise(work, state.generator)({s.frames, s.channels, s.height, s.width}, request.dtype);
  if (beginning.video_LCYX.defined()) {
    const Scheduler scheduler(request.scheduler, request.steps, request.skipped_steps());
    state.latents_LCYX = scheduler.add_noise(beginning.video_LCYX, state.latents_LCYX,
                                             scheduler.timesteps().front());
  }
  return state;
}

DenoiseState initial_state(const Request& request, const LatentShape& shape, WorkExchange& work) {
  return initial_state(request, shape, work, {.generator = make_generator(request.seed)});
}

void denoise(const Denoising& run, DenoiseState& state, const Monitor& monitor) {
  const at::ScalarType dtype = run.request.dtype;
  const Scheduler scheduler(run.request.scheduler, run.request.steps, run.request.skipped_steps());
  const auto total = static_cast<int64_t>(scheduler.timesteps().size());
  GuidedPrediction prediction(run);
  StageRecorder* recorder = run.watch.recorder;
  if (recorder != nullptr) recorder->whole({Rung::Part::kStart, 0, 0, 0}, state.latents_LCYX);
  while (state.next_step < total) {
    const int64_t step = state.next_step;
    monitor.progress({Stage::kDenoise, step, total});
    const at::Tensor output =
        prediction.at_step(step, scheduler.timesteps()[step], state.latents_LCYX,
                           [&](double part, int64_t layer, int64_t layers) {
                             monitor.progress({Stage::kDenoise, step, total, part, layer, layers});
                           });
    // Whole or not at all: a step that fails, even in its noise, leaves the state it began with.
    DenoiseState next{.latents_LCYX = {},
                      .memory = state.memory,
                      .generator = state.generator.clone(),
                      .next_step = step + 1};
    const NoiseDraw draw = shared_noise(run.work, next.generator);
    next.latents_LCYX =
        scheduler.step(step, output, state.latents_LCYX, next.memory, draw).to(dtype);
    if (!all_finite(next.latents_LCYX)) {
      throw NumericError("denoise: step " + std::to_string(step + 1) + " of " +
                         std::to_string(total) + " gave latents that are not finite in " +
                         dtype_name(dtype) + "; " + cure_for_overflow(dtype));
    }
    state = std::move(next);
    if (recorder != nullptr) recorder->whole(step_rung(step, Rung::kLatents), state.latents_LCYX);
    if (run.after_step) run.after_step(state);
  }
  // Its buffers are as large as four activations and would lie beside all that is decoded.
  run.exchange.begin_sequence({});
  monitor.progress({Stage::kDenoise, total, total});
}

at::Tensor decode_latents(const Decoding& run, const at::Tensor& latents_LCYX,
                          const Monitor& monitor) {
  // The reciprocal is a factor, as in diffusers; a division would round differently.
  const at::Tensor scaled_CLYX = (latents_LCYX.permute({1, 0, 2, 3}) * (1 / run.scaling_factor))
                                     .to(run.decoder.dtype())
                                     .contiguous();
  const TileLayout layout =
      plan_tiles(run.request.vae_tile, scaled_CLYX.size(2), scaled_CLYX.size(3));
  const auto total = static_cast<int64_t>(layout.tiles.size());
  std::vector<TileJob> jobs;
  for (const Tile& tile : layout.tiles) {
    jobs.push_back({tile.height * tile.width,
                    {{kRgbChannels, decoded_frames(scaled_CLYX.size(1)),
                      tile.height * kSpatialCompression, tile.width * kSpatialCompression},
                     run.decoder.dtype()}});
  }
  int64_t done = 0;
  const auto decode = [&](int64_t i) {
    monitor.progress({Stage::kDecode, done, total});
    at::Tensor frames =
        decode_tile(run.decoder, scaled_CLYX, layout.tiles[i], [&](int64_t chunk, int64_t chunks) {
          monitor.progress({Stage::kDecode, done, total,
                            static_cast<double>(chunk) / static_cast<double>(chunks), chunk,
                            chunks});
        });
    ++done;
    if (run.watch.units != nullptr) ++run.watch.units->vae_tiles;
    if (run.watch.recorder != nullptr)
      run.watch.recorder->unit({Rung::Part::kDecode, 0, 0, /*layer=*/0}, i, frames);
    return frames;
  };
  std::vector<at::Tensor> tiles = run.work.run_tiles(jobs, decode);
  if (tiles.empty()) return {};
  const at::Tensor rgb = join_tiles(layout, std::move(tiles), run.decoder.ops());
  for (int64_t i = 0; run.watch.recorder != nullptr && i < rgb.size(0); ++i)
    run.watch.recorder->unit({Rung::Part::kDecode, 0, 0, /*layer=*/1}, i, rgb[i]);
  monitor.progress({Stage::kDecode, total, total});
  notice_one_colour(rgb, monitor);
  return rgb;
}

}  // namespace cogvx
