#include "core/pipeline/request.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/base/errors.h"
#include "core/base/json.h"
#include "core/base/json_reader.h"

namespace cogvx {
namespace {

using nlohmann::json;

constexpr int64_t kTemporalCompression = 4;
constexpr int64_t kMinExtent = 16;  // pixels
constexpr int64_t kMaxExtent = 8192;

template <typename T>
using Names = std::vector<std::pair<T, const char*>>;

const Names<SchedulerKind> kSchedulerKinds = {{SchedulerKind::kDdim, "ddim"},
                                              {SchedulerKind::kDpm, "dpm"},
                                              {SchedulerKind::kGenericDdim, "generic-ddim"}};
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
const Names<AttentionKernel> kAttentionKernels = {{AttentionKernel::kMath, "math"},
                                                  {AttentionKernel::kFlash, "flash"},
                                                  {AttentionKernel::kCudnn, "cudnn"}};

const Names<Task> kTasks = {{Task::kTextToVideo, "t2v"},
                            {Task::kImageToVideo, "i2v"},
                            {Task::kVideoToVideo, "v2v"},
                            {Task::kControl, "control"}};

template <typename T>
const char* name_of(const Names<T>& names, T value) {
  for (const auto& [known, name] : names) {
    if (known == value) return name;
  }
  return "?";
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
          {"set_alpha_to_one", s.set_alpha_to_one},
          {"clip_sample", s.clip_sample},
          {"clip_sample_range", s.clip_sample_range}};
}

SchedulerConfig read_scheduler(const JsonReader& read) {
  read.only({"class", "num_train_timesteps", "beta_start", "beta_end", "beta_schedule",
             "prediction_type", "timestep_spacing", "steps_offset", "snr_shift_scale",
             "rescale_betas_zero_snr", "set_alpha_to_one", "clip_sample", "clip_sample_range"});
  SchedulerConfig s;
  read.choice("class", s.kind, kSchedulerKinds);
  read.choice("beta_schedule", s.beta_schedule, kBetaSchedules);
  read.choice("prediction_type", s.prediction_type, kPredictions);
  read.choice("timestep_spacing", s.timestep_spacing, kSpacings);
  read_scheduler_numbers(read, s);
  read_clipping(read, s);
  return s;
}

CheckpointIdentity read_identity(const JsonReader& read) {
  read.only({"tokenizer", "text_encoder", "transformer", "vae", "vae_encoder"});
  CheckpointIdentity c;
  read.text("tokenizer", c.tokenizer);
  read.text("text_encoder", c.text_encoder);
  read.text("transformer", c.transformer);
  read.text("vae", c.vae);
  read.text("vae_encoder", c.vae_encoder);
  return c;
}

json loras_to_json(const std::vector<LoraIdentity>& loras) {
  json list = json::array();
  for (const LoraIdentity& lora : loras)
    list.push_back({{"sha256", lora.sha256}, {"scale", lora.scale}});
  return list;
}

std::vector<LoraIdentity> read_loras(const json& list, const std::string& label) {
  std::vector<LoraIdentity> loras;
  for (const json& entry : list) {
    if (!entry.is_object())
      throw DataError(label + ": 'loras' holds " + json_excerpt(entry) + ", wanted objects");
    const JsonReader read(entry, label + ": loras", JsonReader::Absent::kIsAnError);
    read.only({"sha256", "scale"});
    LoraIdentity& lora = loras.emplace_back();
    read.text("sha256", lora.sha256);
    read.real("scale", lora.scale);
  }
  return loras;
}

TileSize read_tile(const JsonReader& read) {
  read.only({"height", "width"});
  TileSize tile;
  read.count("height", tile.height, 0, kMaxExtent);
  read.count("width", tile.width, 0, kMaxExtent);
  if ((tile.height == 0) != (tile.width == 0))
    read.fail("width", "0 where 'height' is 0, and only there");
  return tile;
}

// "/scheduler/beta_end" -> "scheduler.beta_end"
std::string dotted(const std::string& pointer) {
  std::string name = pointer.substr(1);
  std::replace(name.begin(), name.end(), '/', '.');
  return name;
}

}  // namespace

const char* dtype_name(at::ScalarType dtype) { return name_of(kDtypes, dtype); }

std::string scheduler_kind_name(SchedulerKind kind) { return name_of(kSchedulerKinds, kind); }

std::string task_name(Task task) { return name_of(kTasks, task); }

int64_t Request::skipped_steps() const {
  return steps - std::min(static_cast<int64_t>(static_cast<double>(steps) * strength), steps);
}

int64_t Request::input_frames() const {
  return task == Task::kTextToVideo ? 0 : task == Task::kImageToVideo ? 1 : num_frames;
}

std::string attention_name(AttentionKernel kernel) { return name_of(kAttentionKernels, kernel); }

json request_to_json(const Request& r) {
  return {{"checkpoint",
           {{"tokenizer", r.checkpoint.tokenizer},
            {"text_encoder", r.checkpoint.text_encoder},
            {"transformer", r.checkpoint.transformer},
            {"vae", r.checkpoint.vae},
            {"vae_encoder", r.checkpoint.vae_encoder}}},
          {"task", task_name(r.task)},
          {"input_sha256", r.input_sha256},
          {"strength", r.strength},
          {"loras", loras_to_json(r.loras)},
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
          {"max_text_tokens", r.max_text_tokens},
          {"attention", attention_name(r.attention)}};
}

Request request_from_json(const json& j, const std::string& label) {
  const JsonReader read(j, label + ": request", JsonReader::Absent::kIsAnError);
  read.only({"checkpoint", "task", "input_sha256", "strength", "loras", "prompt", "negative_prompt",
             "width", "height", "num_frames", "steps", "guidance_scale", "dynamic_cfg", "scheduler",
             "seed", "dtype", "vae_tile", "max_text_tokens", "attention"});
  Request r;
  r.checkpoint = read_identity(read.object("checkpoint"));
  read.choice("task", r.task, kTasks);
  read.text("input_sha256", r.input_sha256);
  read.positive("strength", r.strength);
  if (r.strength > 1) read.fail("strength", "at most 1");
  if (!j.contains("loras") || !j.at("loras").is_array()) read.fail("loras", "a list");
  r.loras = read_loras(j.at("loras"), label + ": request");
  read.text("prompt", r.prompt);
  read.text("negative_prompt", r.negative_prompt);
  read.count("width", r.width, kMinExtent, kMaxExtent);
  read.count("height", r.height, kMinExtent, kMaxExtent);
  read.count("num_frames", r.num_frames, 1, 1024);
  read.count("steps", r.steps, 1, 100000);
  read.real("guidance_scale", r.guidance_scale);
  read.flag("dynamic_cfg", r.dynamic_cfg);
  r.scheduler = read_scheduler(read.object("scheduler"));
  read.natural("seed", r.seed);
  read.choice("dtype", r.dtype, kDtypes);
  r.vae_tile = read_tile(read.object("vae_tile"));
  read.count("max_text_tokens", r.max_text_tokens, 1, 65536);
  read.choice("attention", r.attention, kAttentionKernels);
  return r;
}

std::vector<FieldDifference> request_differences(const Request& a, const Request& b) {
  json flat_a = request_to_json(a).flatten();
  const json flat_b = request_to_json(b).flatten();
  // Lists may have other lengths.
  for (const auto& [pointer, value] : flat_b.items()) flat_a.emplace(pointer, json());
  std::vector<FieldDifference> differences;
  for (const auto& [pointer, value] : flat_a.items()) {
    const json other = flat_b.value(pointer, json());
    if (value == other || pointer.starts_with("/checkpoint/")) continue;
    differences.push_back({dotted(pointer), json_excerpt(value), json_excerpt(other)});
  }
  return differences;
}

LatentShape latent_shape(const Request& request, const Checkpoint& checkpoint) {
  const int64_t frames = latent_frames(request.num_frames);
  const int64_t patch = std::max<int64_t>(checkpoint.transformer.patch_size_t, 1);
  // A video that is given is not padded; its length must be right.
  const bool pads = request.task == Task::kTextToVideo || request.task == Task::kImageToVideo;
  const int64_t padding = pads ? (patch - frames % patch) % patch : 0;
  return {frames + padding, padding, checkpoint.transformer.out_channels,
          request.height / kSpatialCompression, request.width / kSpatialCompression};
}

PatchGrid video_grid(const Request& request, const Checkpoint& checkpoint) {
  const LatentShape latents = latent_shape(request, checkpoint);
  return patch_grid(checkpoint.transformer, {latents.frames, latents.height, latents.width});
}

int64_t joint_rows(const Request& request, const Checkpoint& checkpoint) {
  return request.max_text_tokens + video_grid(request, checkpoint).tokens();
}

int64_t latent_frames(int64_t num_frames) { return (num_frames - 1) / kTemporalCompression + 1; }

int64_t decoded_frames(int64_t latents) {
  return latents % 2 == 1 ? kTemporalCompression * latents - 3 : kTemporalCompression * latents;
}

}  // namespace cogvx
