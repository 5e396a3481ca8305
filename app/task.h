#pragma once

#include "app/options.h"
#include "core/pipeline/request.h"

namespace cogvx::app {

// What is made: --task, or what the model and the inputs say. Throws UsageError where the model
// cannot do it, or an input is missing or too many.
Task choose_task(const Options& options, const Checkpoint& checkpoint);

// --strength of a task, 1 where it has none. Throws UsageError, also where no step would be left.
double choose_strength(const Options& options, Task task);

// Throws UsageError where a video that is given has a length or a size that the model cannot take:
// what is not padded must come out even.
void check_given_video(const Request& request, const Checkpoint& checkpoint);

}  // namespace cogvx::app
