#pragma once

#include <cstdint>
#include <string>

#include "app/output_plan.h"
#include "core/pipeline/request.h"

namespace cogvx::app {

// How far an earlier run came with a video, by what stands under the names of its outputs.
enum class Standing : int64_t { kNothing, kState, kSafeLatents, kKeptLatents, kDone, kIncomplete };

struct Found {
  Standing standing = Standing::kNothing;
  std::string path{};      // of the sidecar, the state or the latents that tell it
  Request made{};          // that they hold
  uint64_t seed = 0;       // of it
  bool own_video = false;  // what stands under the video's name was made from this request
};
// Only what was made from this request counts, apart from what is read from files beside the model
// and, with `any_seed`, from its seed. kIncomplete: the video stands, another of its outputs does
// not. Files that are of another request, or unreadable, are nothing.
Found find_standing(const OutputPlan& outputs, const Request& request, bool any_seed);

}  // namespace cogvx::app
