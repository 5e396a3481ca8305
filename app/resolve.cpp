#include "app/resolve.h"

#include <sys/random.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "app/idle_processes.h"
#include "app/loras.h"
#include "app/memory_check.h"
#include "app/prompts.h"
#include "app/task.h"
#include "core/base/errors.h"
#include "core/ops/cuda_plugin.h"
#include "core/schedule/scheduler.h"
#include "core/transformer/positions.h"
#include "core/vae/tiles.h"
#include "io/video_writer.h"
#include "parallel/mesh.h"

namespace cogvx::app {
namespace {

constexpr int64_t kSizeStep = 16;  // 8 of the VAE times 2 of the patches
constexpr int64_t kMaxExtent = 8192;
constexpr int64_t kMaxFrames = 1024;
constexpr int64_t kMaxThreads = 1024;
constexpr int64_t kMaxTimeout = 86400;
// A transfer between GPUs waits for the slowest rank, which gives signs of life all the while.
constexpr int kTransfersPerSign = 10;
constexpr int64_t kTileHeightStep = 48;
constexpr int64_t kTileWidthStep = 40;

std::string size_text(int64_t width, int64_t height) {
  return std::to_string(width) + "x" + std::to_string(height);
}

int64_t nearest_multiple(int64_t value, int64_t step) {
  return std::max(step, (value + step / 2) / step * step);
}

std::string nearest_text(int64_t value, int64_t low, int64_t high) {
  return "; nearest: " + std::to_string(std::clamp(value, low, high));
}

void check_size(const Options& options, const ModelKind& kind, const Request& r) {
  if (r.width < kSizeStep || r.height < kSizeStep || r.width > kMaxExtent ||
      r.height > kMaxExtent || r.width % kSizeStep != 0 || r.height % kSizeStep != 0) {
    throw UsageError("--width x --height is " + size_text(r.width, r.height) +
                     ", both must be multiples of 16 from 16 to 8192; nearest: " +
                     size_text(std::min(nearest_multiple(r.width, kSizeStep), kMaxExtent),
                               std::min(nearest_multiple(r.height, kSizeStep), kMaxExtent)));
  }
  const bool trained = std::any_of(kind.sizes.begin(), kind.sizes.end(), [&](io::FrameSize s) {
    return s.width == r.width && s.height == r.height;
  });
  const auto [shortest, longest] = std::minmax(r.width, r.height);
  const bool by_rule = kind.size_rule && shortest >= kind.size_rule->shortest_min &&
                       shortest <= kind.size_rule->shortest_max &&
                       longest <= kind.size_rule->longest_max;
  if (trained || by_rule || options.allow_untrained_size) return;
  std::string sizes;
  for (const io::FrameSize& s : kind.sizes)
    sizes += (sizes.empty() ? "" : ", ") + size_text(s.width, s.height);
  std::string nearest;
  if (kind.size_rule) {
    const auto inside = [&](int64_t side) {
      return side == shortest ? std::clamp<int64_t>(side, kind.size_rule->shortest_min,
                                                    kind.size_rule->shortest_max)
                              : std::clamp<int64_t>(side, kind.size_rule->shortest_min,
                                                    kind.size_rule->longest_max);
    };
    nearest = "; nearest: " + size_text(inside(r.width), inside(r.height));
    sizes += ", or a short side of " + std::to_string(kind.size_rule->shortest_min) + " to " +
             std::to_string(kind.size_rule->shortest_max) + " and a long one up to " +
             std::to_string(kind.size_rule->longest_max);
  }
  throw UsageError("--width x --height is " + size_text(r.width, r.height) + ", a " + kind.name +
                   " model was trained at " + sizes + (nearest.empty() ? "; use that" : nearest) +
                   ", or pass --allow-untrained-size");
}

void check_frames(const Options& options, const ModelKind& kind, const Request& r,
                  std::vector<std::string>& notices) {
  if (r.num_frames < 1 || r.num_frames > kMaxFrames) {
    throw UsageError("--frames is " + std::to_string(r.num_frames) + ", wanted 1 to " +
                     std::to_string(kMaxFrames) + nearest_text(r.num_frames, 1, kMaxFrames));
  }
  if (std::find(kind.frames.begin(), kind.frames.end(), r.num_frames) == kind.frames.end()) {
    const auto distance = [&](int64_t frames) { return std::abs(frames - r.num_frames); };
    const int64_t nearest =
        *std::min_element(kind.frames.begin(), kind.frames.end(),
                          [&](int64_t a, int64_t b) { return distance(a) < distance(b); });
    const int64_t step = kind.frames.size() > 1 ? kind.frames[1] - kind.frames[0] : 8;
    if (!options.allow_untrained_size) {
      throw UsageError("--frames is " + std::to_string(r.num_frames) + ", a " + kind.name +
                       " model was trained at " + std::to_string(step) + "N+" +
                       std::to_string(kind.frames.front() % step) + " frames up to " +
                       std::to_string(kind.frames.back()) + "; nearest: " +
                       std::to_string(nearest) + " (or pass --allow-untrained-size)");
    }
  }
  const int64_t decoded = decoded_frames(latent_frames(r.num_frames));
  if (decoded != r.num_frames) {
    notices.push_back("--frames " + std::to_string(r.num_frames) + " gives " +
                      std::to_string(decoded) +
                      " frames, as in diffusers: the VAE decodes an even number of latent frames "
                      "to four frames each");
  }
}

TileSize choose_tile(const Options& options, const VaeConfig& vae) {
  TileSize tile = default_tile(vae);
  if (options.vae_tiling == "off") {
    if (!options.vae_tile.empty())
      throw UsageError("--vae-tile is given with --vae-tiling off; drop one of them");
    return {};
  }
  if (!options.vae_tile.empty()) {
    char cross = 0, rest = 0;
    if (std::sscanf(options.vae_tile.c_str(), "%ld%c%ld%c", &tile.height, &cross, &tile.width,
                    &rest) != 3 ||
        cross != 'x') {
      throw UsageError("--vae-tile is '" + options.vae_tile +
                       "', wanted HxW in pixels, for example 240x360");
    }
  }
  const bool legal = tile.height >= kTileHeightStep && tile.width >= kTileWidthStep &&
                     tile.height <= kMaxExtent && tile.width <= kMaxExtent &&
                     tile.height % kTileHeightStep == 0 && tile.width % kTileWidthStep == 0;
  if (!legal) {
    throw UsageError(
        (options.vae_tile.empty() ? std::string("the VAE's own tile") : "--vae-tile") + " is " +
        std::to_string(tile.height) + "x" + std::to_string(tile.width) +
        ", the height must be a multiple of 48 and the width of 40; nearest: --vae-tile " +
        std::to_string(nearest_multiple(std::min(tile.height, kMaxExtent), kTileHeightStep)) + "x" +
        std::to_string(nearest_multiple(std::min(tile.width, kMaxExtent), kTileWidthStep)) +
        ", or --vae-tiling off");
  }
  return tile;
}

at::ScalarType choose_gpu_dtype(const Options& options, const Checkpoint& checkpoint,
                                const ModelKind& kind, std::vector<std::string>& notices) {
  if (options.dtype == "fp16" && !kind.fp16_safe) {
    throw UsageError("--dtype fp16 overflows in a " + kind.name +
                     " model; use --dtype bf16 or fp32");
  }
  if (options.dtype == "fp16") return at::kHalf;
  if (options.dtype == "fp32") return at::kFloat;
  if (options.dtype == "bf16" || checkpoint.stored_dtype == "BF16") return at::kBFloat16;
  if (checkpoint.stored_dtype != "F16") return at::kFloat;
  if (kind.fp16_safe) return at::kHalf;
  notices.push_back("the checkpoint is fp16, in which a " + kind.name +
                    " model overflows: using bf16");
  return at::kBFloat16;
}

at::ScalarType choose_dtype(const Options& options, const Checkpoint& checkpoint,
                            std::vector<std::string>& notices) {
  if (options.dtype == "fp16") {
    throw UsageError(
        "--dtype fp16 is not computed on a CPU (its arithmetic has no fp16); use --dtype fp32 or "
        "bf16");
  }
  if (options.dtype == "fp32") return at::kFloat;
  if (options.dtype == "bf16") return at::kBFloat16;
  if (checkpoint.stored_dtype == "BF16") return at::kBFloat16;
  if (checkpoint.stored_dtype == "F16") {
    notices.push_back(
        "the checkpoint is fp16, which a CPU does not compute in: using fp32 (--dtype bf16 is "
        "faster)");
  }
  return at::kFloat;
}

uint64_t choose_seed(int64_t seed) {
  if (seed >= 0) return static_cast<uint64_t>(seed);
  if (seed != -1)
    throw UsageError("--seed is " + std::to_string(seed) + ", wanted 0 or more, or -1 to pick one");
  return static_cast<uint64_t>(pick_seed());
}

void choose_scheduler(const Options& options, const Checkpoint& checkpoint, const ModelKind& kind,
                      Request& r) {
  r.scheduler = checkpoint.scheduler;
  r.scheduler.kind = options.scheduler == "ddim"           ? SchedulerKind::kDdim
                     : options.scheduler == "dpm"          ? SchedulerKind::kDpm
                     : options.scheduler == "generic-ddim" ? SchedulerKind::kGenericDdim
                                                           : kind.scheduler;
  if (r.task == Task::kControl && r.scheduler.kind == SchedulerKind::kDpm) {
    throw UsageError(
        "--scheduler dpm does not take a control video (nor does diffusers); use generic-ddim or "
        "ddim");
  }
  r.scheduler.timestep_spacing = TimestepSpacing::kTrailing;
  r.dynamic_cfg = options.dynamic_cfg == "auto" ? r.scheduler.kind == SchedulerKind::kDpm
                                                : options.dynamic_cfg == "on";
  (void)inference_timesteps(r.scheduler, options.steps);
}

int64_t choose_text_tokens(const Options& options, const TransformerConfig& c) {
  const int64_t longest = c.max_text_seq_length;
  const int64_t tokens = options.max_text_tokens.value_or(longest);
  const bool fixed = !c.use_rotary_positional_embeddings || c.use_learned_positional_embeddings;
  if (fixed && tokens != longest) {
    throw UsageError("--max-text-tokens is " + std::to_string(tokens) +
                     ", this model's positions fix it at " + std::to_string(longest));
  }
  if (tokens < 1 || tokens > longest) {
    throw UsageError("--max-text-tokens is " + std::to_string(tokens) + ", this model takes 1 to " +
                     std::to_string(longest) + nearest_text(tokens, 1, longest));
  }
  return tokens;
}

// A process alone takes the first that the plugin was compiled for; probe_cuda throws where there
// is none.
int choose_gpu(const LocalPlace& here) {
  const std::vector<CudaDevice> devices = probe_cuda(program_folder()).devices;
  if (here.size == 1) {
    return std::find_if(devices.begin(), devices.end(), [](auto& d) { return d.supported; })->index;
  }
  const char* variable = std::getenv("CUDA_VISIBLE_DEVICES");
  const auto visible = variable == nullptr ? std::nullopt : std::optional<std::string>(variable);
  // Those of the others too, so that all of them say the same.
  for (int rank = 0; rank < here.size; ++rank)
    check_device(devices[choose_device(devices, {rank, here.size}, visible)]);
  return choose_device(devices, here, visible);
}

AttentionKernel choose_attention(const Options& options, const Placement& placement,
                                 at::ScalarType dtype) {
  const bool fused = options.attention == "flash" || options.attention == "cudnn";
  if (placement.device == "cpu") {
    if (!fused) return AttentionKernel::kMath;
    throw UsageError("--attention " + options.attention +
                     " is a GPU's kernel; use --device cuda, or --attention math");
  }
  if (fused && dtype == at::kFloat) {
    throw UsageError("--attention " + options.attention +
                     " computes in bf16 and fp16, --dtype is fp32; use --attention math");
  }
  if (options.attention == "math" || dtype == at::kFloat) return AttentionKernel::kMath;
  return options.attention == "cudnn" ? AttentionKernel::kCudnn : AttentionKernel::kFlash;
}

Placement choose_placement(const Options& options, const Part& part) {
  const LocalPlace& here = part.here;
  const bool looks = options.device == "cuda" && part.role != Role::kForecasts;
  const int device = looks ? choose_gpu(here) : 0;
  const Mesh mesh = make_mesh(static_cast<int>(options.cp), static_cast<int>(options.sp),
                              static_cast<int>(options.cp * options.sp), /*rank=*/0);
  const int64_t threads = options.threads.value_or(std::max(1, available_cores() / here.size));
  if (threads < 1 || threads > kMaxThreads) {
    throw UsageError("--threads is " + std::to_string(threads) + ", wanted 1 to " +
                     std::to_string(kMaxThreads) + nearest_text(threads, 1, kMaxThreads));
  }
  const bool on_gpu = options.device == "cuda";
  if (on_gpu && options.sp_mode == "gather") {
    throw UsageError(
        "--sp-mode gather splits heads by rows, on a GPU only whole heads give the same bytes; use "
        "--sp-mode ulysses with --device cuda");
  }
  return {.device = on_gpu ? "cuda" : "cpu",
          .device_index = device,
          .offload = on_gpu && options.offload != "auto" ? options.offload : "none",
          .cp = mesh.cp,
          .sp = mesh.sp,
          .sp_mode = options.sp_mode,
          .threads = static_cast<int>(threads),
          .patience = kTransfersPerSign * std::chrono::seconds(options.dist_timeout)};
}

}  // namespace

std::vector<Stage> stages_of(const Options& options) {
  if (!options.decode_latents.empty()) return {Stage::kDecode};
  if (options.image.empty() && options.video.empty())
    return {Stage::kEncodeText, Stage::kDenoise, Stage::kDecode};
  return {Stage::kEncodeText, Stage::kEncodeVideo, Stage::kDenoise, Stage::kDecode};
}

void check_options(const Options& options) {
  if (options.model.empty())
    throw UsageError(
        "--model is missing: the checkpoint directory, for example --model configs/demo");
  check_exclusive(options);
  (void)lora_files(options);
  if (options.dist_timeout < 1 || options.dist_timeout > kMaxTimeout) {
    throw UsageError("--dist-timeout is " + std::to_string(options.dist_timeout) +
                     ", wanted seconds from 1 to " + std::to_string(kMaxTimeout) +
                     nearest_text(options.dist_timeout, 1, kMaxTimeout));
  }
  if (!options.batch.empty()) return;
  if (!options.prompt && options.prompt_file.empty()) {
    throw UsageError(
        "--prompt is missing: what to show (an explicitly empty --prompt \"\" is legal)");
  }
}

int64_t pick_seed() {
  uint32_t picked = 0;
  if (getrandom(&picked, sizeof picked, 0) != sizeof picked)
    throw Error("the system gives no random seed");
  return picked;
}

RunPlan resolve(const Options& options, const Checkpoint& checkpoint, const Part& part) {
  RunPlan plan{.kind = find_kind(checkpoint),
               .request = {},
               .placement = choose_placement(options, part),
               .output = {},
               .notices = {}};
  Request& r = plan.request;
  r.task = choose_task(options, checkpoint);
  r.strength = choose_strength(options, r.task);
  fit_lengths(r.task, checkpoint, plan.kind);
  r.prompt = read_prompt(options);
  r.negative_prompt = options.negative_prompt;
  check_prompts(r, plan.notices);
  r.width = options.width.value_or(plan.kind.sizes.front().width);
  r.height = options.height.value_or(plan.kind.sizes.front().height);
  r.num_frames = options.frames.value_or(plan.kind.default_frames);
  check_size(options, plan.kind, r);
  check_frames(options, plan.kind, r, plan.notices);
  check_given_video(r, checkpoint);
  r.steps = options.steps;
  r.guidance_scale = options.guidance_scale;
  if (!r.uses_guidance() && !r.negative_prompt.empty()) {
    plan.notices.push_back("--negative-prompt has no effect with --guidance-scale 1 or less");
  }
  if (options.cp == 2 && !r.uses_guidance()) {
    throw UsageError(
        "--cp 2 needs two guidance branches, --guidance-scale 1 or less has one; use --sp 2, or a "
        "larger scale");
  }
  choose_scheduler(options, checkpoint, plan.kind, r);
  r.dtype = plan.placement.device == "cuda"
                ? choose_gpu_dtype(options, checkpoint, plan.kind, plan.notices)
                : choose_dtype(options, checkpoint, plan.notices);
  r.attention = choose_attention(options, plan.placement, r.dtype);
  if (plan.placement.device == "cpu" && options.offload != "auto" && options.offload != "none")
    plan.notices.push_back("--offload has no effect on the CPU: weights are there already");
  r.vae_tile = choose_tile(options, checkpoint.vae);
  r.max_text_tokens = choose_text_tokens(options, checkpoint.transformer);
  const LatentShape latents = latent_shape(r, checkpoint);
  check_positions(checkpoint.transformer, {latents.frames, latents.height, latents.width},
                  r.max_text_tokens);
  r.seed = choose_seed(options.seed);
  const bool forecasts = part.role == Role::kForecasts;
  if (!options.dump_config && !forecasts) {
    check_memory(memory_need(checkpoint, r, plan.placement.threads, part.here.size),
                 stages_of(options), plan.notices);
  }
  if (!options.dump_config) notice_idle_processes(checkpoint, r, plan.placement, plan.notices);
  if (part.role != Role::kHelps) {
    const Options named = with_output_names(options, r, part.item);
    plan.output = forecasts ? outline_output(named, plan.kind, r)
                            : plan_output(named, plan.kind, r, plan.notices);
  }
  return plan;
}

Options resolved_options(const Options& options, const RunPlan& plan) {
  const Request& r = plan.request;
  Options o = options;
  o.prompt = r.prompt;
  o.prompt_file.clear();
  o.task = task_name(r.task);
  if (r.task == Task::kVideoToVideo) o.strength = r.strength;
  o.width = r.width;
  o.height = r.height;
  o.frames = r.num_frames;
  o.output = plan.output.video;
  o.fps = frame_rate_text(plan.output.settings.frame_rate);
  o.codec = io::codec_name(plan.output.settings.codec);
  if (io::codec_has_crf(plan.output.settings.codec)) o.crf = plan.output.settings.crf;
  o.dynamic_cfg = r.dynamic_cfg ? "on" : "off";
  o.scheduler = scheduler_kind_name(r.scheduler.kind);
  o.seed = static_cast<int64_t>(r.seed);
  o.dtype = dtype_name(r.dtype);
  if (r.vae_tile.height > 0)
    o.vae_tile = std::to_string(r.vae_tile.height) + "x" + std::to_string(r.vae_tile.width);
  o.max_text_tokens = r.max_text_tokens;
  o.attention = attention_name(r.attention);
  o.offload = plan.placement.offload;
  o.device = plan.placement.device;
  o.threads = plan.placement.threads;
  return o;
}

}  // namespace cogvx::app
