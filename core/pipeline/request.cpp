#include "core/pipeline/request.h"

#include <map>
#include <nlohmann/json.hpp>

#include "core/base/errors.h"

namespace cogvx {
namespace {

using nlohmann::json;

constexpr int64_t kTemporalCompression = 4;

template <typename T>
using Names = std::vector<std::pair<T, const char*>>;

const Names<SchedulerKind> kSchedulerKinds = {{SchedulerKind::kDdim, "ddim"},
                                              {SchedulerKind::kDpm, "dpm"}};
const Names<TimestepSpacing> kSpacings = {{TimestepSpacing::kTrailing, "trailing"},
                                          {TimestepSpacing::kLeading, "leading"},
                                          {TimestepSpacing::kLinspace, "linspace"}};
const Names<PredictionType> kPredictions = {{PredictionType::kEpsilon, "epsilon"},
                                            {PredictionType::kSample, "sample"},
                                            {PredictionType::kVPrediction, "v_prediction"}};
const Names<BetaSchedule> kBetaSchedules = {{BetaSchedule::kScaledLinear, "scaled_linear"},
                                            {BetaSchedule::kLinear, "linear"}};
const Names<at::ScalarType> kDtypes = {
    {at::kFloat, "fp32"}, {at::kBFloat16, "bf16"}, {at::kHalf, "fp16"}};

template <typename T>
const char* name_of(const Names<T>& names, T value) {
  for (const auto& [known, name] : names) {
    if (known == value) return name;
  }
  return "?";
}

template <typename T>
T value_of(const Names<T>& names, const std::string& name) {
  for (const auto& [value, known] : names) {
    if (name == known) return value;
  }
  throw std::invalid_argument("unknown value '" + name + "'");
}

json scheduler_to_json(const SchedulerConfig& s) {
  return {{"class", name_of(kSchedulerKinds, s.kind)},
          {"num_train_timesteps", s.num_train_timesteps},
          {"beta_start", s.beta_start},
          {"beta_end", s.beta_end},
          {"beta_schedule", name_of(kBetaSchedules, s.beta_schedule)},
          {"prediction_type", name_of(kPredictions, s.prediction_type)},
          {"timestep_spacing", name_of(kSpacings, s.timestep_spacing)},
          {"steps_offset", s.steps_offset},
          {"snr_shift_scale", s.snr_shift_scale},
          {"rescale_betas_zero_snr", s.rescale_betas_zero_snr},
          {"set_alpha_to_one", s.set_alpha_to_one}};
}

SchedulerConfig scheduler_from_json(const json& j) {
  SchedulerConfig s;
  s.kind = value_of(kSchedulerKinds, j.at("class").get<std::string>());
  j.at("num_train_timesteps").get_to(s.num_train_timesteps);
  j.at("beta_start").get_to(s.beta_start);
  j.at("beta_end").get_to(s.beta_end);
  s.beta_schedule = value_of(kBetaSchedules, j.at("beta_schedule").get<std::string>());
  s.prediction_type = value_of(kPredictions, j.at("prediction_type").get<std::string>());
  s.timestep_spacing = value_of(kSpacings, j.at("timestep_spacing").get<std::string>());
  j.at("steps_offset").get_to(s.steps_offset);
  j.at("snr_shift_scale").get_to(s.snr_shift_scale);
  j.at("rescale_betas_zero_snr").get_to(s.rescale_betas_zero_snr);
  j.at("set_alpha_to_one").get_to(s.set_alpha_to_one);
  return s;
}

}  // namespace

const char* dtype_name(at::ScalarType dtype) { return name_of(kDtypes, dtype); }

std::string scheduler_kind_name(SchedulerKind kind) { return name_of(kSchedulerKinds, kind); }

json request_to_json(const Request& r) {
  return {{"checkpoint",
           {{"tokenizer", r.checkpoint.tokenizer},
            {"text_encoder", r.checkpoint.text_encoder},
            {"transformer", r.checkpoint.transformer},
            {"vae", r.checkpoint.vae}}},
          {"task", r.task},
          {"prompt", r.prompt},
          {"negative_prompt", r.negative_prompt},
          {"width", r.width},
          {"height", r.height},
          {"num_frames", r.num_frames},
          {"steps", r.steps},
          {"guidance_scale", r.guidance_scale},
          {"dynamic_cfg", r.dynamic_cfg},
          {"scheduler", scheduler_to_json(r.scheduler)},
          {"seed", r.seed},
          {"dtype", dtype_name(r.dtype)},
          {"vae_tile", {{"height", r.vae_tile.height}, {"width", r.vae_tile.width}}},
          {"max_text_tokens", r.max_text_tokens}};
}

Request request_from_json(const json& j, const std::string& label) {
  try {
    Request r;
    const json& c = j.at("checkpoint");
    r.checkpoint = {c.at("tokenizer"), c.at("text_encoder"), c.at("transformer"), c.at("vae")};
    j.at("task").get_to(r.task);
    j.at("prompt").get_to(r.prompt);
    j.at("negative_prompt").get_to(r.negative_prompt);
    j.at("width").get_to(r.width);
    j.at("height").get_to(r.height);
    j.at("num_frames").get_to(r.num_frames);
    j.at("steps").get_to(r.steps);
    j.at("guidance_scale").get_to(r.guidance_scale);
    j.at("dynamic_cfg").get_to(r.dynamic_cfg);
    r.scheduler = scheduler_from_json(j.at("scheduler"));
    j.at("seed").get_to(r.seed);
    r.dtype = value_of(kDtypes, j.at("dtype").get<std::string>());
    j.at("vae_tile").at("height").get_to(r.vae_tile.height);
    j.at("vae_tile").at("width").get_to(r.vae_tile.width);
    j.at("max_text_tokens").get_to(r.max_text_tokens);
    return r;
  } catch (const std::exception& error) {
    throw DataError(label + ": holds no complete request of this version: " + error.what());
  }
}

LatentShape latent_shape(const Request& request, const Checkpoint& checkpoint) {
  return {latent_frames(request.num_frames), checkpoint.transformer.out_channels,
          request.height / kSpatialCompression, request.width / kSpatialCompression};
}

int64_t latent_frames(int64_t num_frames) { return (num_frames - 1) / kTemporalCompression + 1; }

int64_t decoded_frames(int64_t latents) {
  return latents % 2 == 1 ? kTemporalCompression * latents - 3 : kTemporalCompression * latents;
}

}  // namespace cogvx
