#pragma once

#include "app/model_kinds.h"
#include "app/options.h"
#include "core/pipeline/request.h"

namespace cogvx::app {

// What is made: --task, or what the model and the inputs say. Throws UsageError where the model
// cannot do it, or an input is missing or too many.
Task choose_task(const Options& options, const Checkpoint& checkpoint);

// --strength of a task, 1 where it has none. Throws UsageError, also where no step would be left.
double choose_strength(const Options& options, Task task);

// A given video is not padded, so that a model of CogVideoX 1.5 wants an even number of its latent
// frames; trained lengths give odd ones: each becomes the next shorter that comes out even.
void fit_lengths(Task task, const Checkpoint& checkpoint, ModelKind& kind);

// Throws UsageError where a given video's length is another.
void check_given_video(const Request& request, const Checkpoint& checkpoint);

}  // namespace cogvx::app
