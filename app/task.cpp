#include "app/task.h"

#include <nlohmann/json.hpp>

#include "app/json_text.h"
#include "core/base/errors.h"

namespace cogvx::app {
namespace {

constexpr double kDefaultStrength = 0.8;
constexpr int64_t kFramesPerLatent = 4;
constexpr int64_t kMaxFirstFrame = 1'000'000'000;  // its readers count in 32 bits

// Half of its input channels are latents of an image or a control video.
bool takes_condition(const TransformerConfig& c) { return c.in_channels == 2 * c.out_channels; }

Task task_of_model(const Options& options, const Checkpoint& checkpoint) {
  if (!takes_condition(checkpoint.transformer))
    return options.video.empty() ? Task::kTextToVideo : Task::kVideoToVideo;
  if (checkpoint.pipeline_class == "CogVideoXFunControlPipeline") return Task::kControl;
  if (checkpoint.pipeline_class == "CogVideoXImageToVideoPipeline") return Task::kImageToVideo;
  return options.image.empty() && !options.video.empty() ? Task::kControl : Task::kImageToVideo;
}

Task task_of(const std::string& name) {
  for (const Task task : {Task::kTextToVideo, Task::kImageToVideo, Task::kVideoToVideo}) {
    if (task_name(task) == name) return task;
  }
  return Task::kControl;
}

void check_model(const Options& options, const Checkpoint& checkpoint, Task task) {
  const bool wanted = task == Task::kImageToVideo || task == Task::kControl;
  if (takes_condition(checkpoint.transformer) == wanted) return;
  throw UsageError(
      "--task " + task_name(task) + " wants a model with " +
      (wanted ? "twice as many input as output channels" : "as many input as output channels") +
      ", '" + options.model + "' has " + std::to_string(checkpoint.transformer.in_channels) +
      " and " + std::to_string(checkpoint.transformer.out_channels) + "; " +
      (wanted ? "use an image-to-video or a control model, or drop --task"
              : "it is an image-to-video or a control model: give --image or --video"));
}

void check_inputs(const Options& options, Task task) {
  const bool wants_image = task == Task::kImageToVideo;
  const bool wants_video = task == Task::kVideoToVideo || task == Task::kControl;
  const auto check = [&](const std::string& given, const char* flag, bool wanted) {
    if (given.empty() != wanted) return;
    throw UsageError(std::string(flag) + (wanted ? " is missing: " : " is given, ") + "task " +
                     task_name(task) +
                     (wanted ? " needs it"
                             : " takes none; drop it, or use a "
                               "model that does"));
  };
  // Latents are there already.
  if (!options.decode_latents.empty()) return;
  check(options.image, "--image", wants_image);
  check(options.video, "--video", wants_video);
}

// Its patches are of two latent frames.
bool wants_even_latents(Task task, const Checkpoint& checkpoint) {
  return (task == Task::kVideoToVideo || task == Task::kControl) &&
         checkpoint.transformer.patch_size_t == 2;
}

void check_first_frame(const Options& options) {
  const int64_t from = options.video_frames_from;
  if (from < 0 || from > kMaxFirstFrame) {
    throw UsageError("--video-frames-from is " + std::to_string(from) + ", wanted 0 to " +
                     std::to_string(kMaxFirstFrame));
  }
  if (from > 0 && options.video.empty() && options.decode_latents.empty())
    throw UsageError("--video-frames-from is given without --video; drop it, or name a video");
}

}  // namespace

Task choose_task(const Options& options, const Checkpoint& checkpoint) {
  const Task task =
      options.task == "auto" ? task_of_model(options, checkpoint) : task_of(options.task);
  check_model(options, checkpoint, task);
  check_inputs(options, task);
  check_first_frame(options);
  return task;
}

double choose_strength(const Options& options, Task task) {
  if (task != Task::kVideoToVideo) {
    if (!options.strength) return 1.0;
    throw UsageError("--strength is of video-to-video, the task is " + task_name(task) +
                     "; drop it");
  }
  const double strength = options.strength.value_or(kDefaultStrength);
  if (!(strength > 0) || strength > 1) {
    throw UsageError(
        "--strength is " + json_text(strength) +
        ", wanted more than 0 and at most 1; nearest: " + (strength > 1 ? "1" : "0.1"));
  }
  Request counted;
  counted.steps = options.steps;
  counted.strength = strength;
  if (options.steps > 0 && counted.skipped_steps() == options.steps) {
    throw UsageError("--strength " + json_text(strength) + " of --steps " +
                     std::to_string(options.steps) +
                     " leaves no step; use a larger strength or more steps");
  }
  return strength;
}

void fit_lengths(Task task, const Checkpoint& checkpoint, ModelKind& kind) {
  if (!wants_even_latents(task, checkpoint)) return;
  const auto fit = [](int64_t frames) {
    return latent_frames(frames) % 2 == 0 ? frames : frames - kFramesPerLatent;
  };
  for (int64_t& frames : kind.frames) frames = fit(frames);
  kind.default_frames = fit(kind.default_frames);
}

void check_given_video(const Request& request, const Checkpoint& checkpoint) {
  const int64_t frames = latent_frames(request.num_frames);
  if (!wants_even_latents(request.task, checkpoint) || frames % 2 == 0) return;
  const int64_t shorter = request.num_frames - kFramesPerLatent;
  throw UsageError("--frames " + std::to_string(request.num_frames) + " of a video are " +
                   std::to_string(frames) + " latent frames, this model takes an even number; " +
                   "nearest: --frames " + (shorter > 0 ? std::to_string(shorter) + " or " : "") +
                   std::to_string(request.num_frames + kFramesPerLatent));
}

}  // namespace cogvx::app
