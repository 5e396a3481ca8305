#include "app/continuation.h"

#include <algorithm>
#include <vector>

#include "core/base/errors.h"
#include "core/base/shapes.h"
#include "core/schedule/scheduler.h"

namespace cogvx::app {
namespace {

void check_shape(const std::string& path, const Request& request, const Checkpoint& checkpoint,
                 const at::Tensor& latents_LCYX) {
  const LatentShape s = latent_shape(request, checkpoint);
  const std::vector<int64_t> wanted = {s.frames, s.channels, s.height, s.width};
  if (latents_LCYX.sizes() == at::IntArrayRef(wanted) &&
      latents_LCYX.scalar_type() == request.dtype)
    return;
  throw DataError(path + ": its latents are " + shape_text(latents_LCYX.sizes()) + " in " +
                  dtype_name(latents_LCYX.scalar_type()) + ", its request wants " +
                  shape_text(wanted) + " in " + dtype_name(request.dtype) +
                  "; was it made with another checkpoint than --model?");
}

void check_state(const std::string& path, const SavedState& saved) {
  const auto steps = static_cast<int64_t>(
      Scheduler(saved.request.scheduler, saved.request.steps, saved.request.skipped_steps())
          .timesteps()
          .size());
  if (saved.state.next_step > steps) {
    throw DataError(path + ": is after step " + std::to_string(saved.state.next_step) +
                    ", its request has " + std::to_string(steps));
  }
  const bool needs_x0 =
      saved.request.scheduler.kind == SchedulerKind::kDpm && saved.state.next_step > 0;
  if (saved.state.memory.previous_x0.defined() != needs_x0) {
    throw DataError(path + ": tensor 'previous_x0' " + (needs_x0 ? "is missing" : "has no place") +
                    " after step " + std::to_string(saved.state.next_step) + " of " +
                    scheduler_kind_name(saved.request.scheduler.kind));
  }
}

// What a file beside the model decides.
bool of_pixels(const FieldDifference& difference) { return difference.field == "input_sha256"; }
bool of_loras(const FieldDifference& difference) { return difference.field.starts_with("loras"); }

}  // namespace

Continuation read_continuation(const Options& options, const Checkpoint& checkpoint) {
  Continuation saved;
  if (!options.resume.empty()) {
    saved.path = options.resume;
    saved.state = read_state(saved.path);
    check_shape(saved.path, saved.request(), checkpoint, saved.state->state.latents_LCYX);
    check_state(saved.path, *saved.state);
  } else if (!options.decode_latents.empty()) {
    saved.path = options.decode_latents;
    saved.latents = read_latents(saved.path);
    check_shape(saved.path, saved.request(), checkpoint, saved.latents->latents_LCYX);
  }
  return saved;
}

void check_same_request(const Continuation& saved, const Request& request) {
  std::vector<FieldDifference> differences = request_differences(saved.request(), request);
  // Another --width changes the pixels too: flags first.
  std::stable_partition(differences.begin(), differences.end(), [](const auto& difference) {
    return !of_pixels(difference) && !of_loras(difference);
  });
  for (const FieldDifference& difference : differences) {
    // Latents may be decoded with other tiles, and what they were made from has served.
    if (saved.latents &&
        (difference.field.starts_with("vae_tile") || of_loras(difference) || of_pixels(difference)))
      continue;
    if (difference.field.starts_with("scheduler.") && difference.field != "scheduler.class") {
      throw DataError(saved.path + ": '" + difference.field + "' is " + difference.a +
                      " there, this checkpoint says " + difference.b +
                      "; give --model the checkpoint that it was made with");
    }
    if (of_pixels(difference) || of_loras(difference)) {
      throw UsageError(saved.path + ": " +
                       (of_pixels(difference) ? "the pixels of --image or --video are not those"
                                              : "the --lora files or their scales are not those") +
                       " that it was made with; give the same, or start anew without the file");
    }
    throw UsageError(saved.path + ": '" + difference.field + "' is " + difference.a +
                     " there, this command says " + difference.b +
                     "; drop that flag, or start anew without the file");
  }
}

}  // namespace cogvx::app
