#pragma once

#include <ATen/core/Tensor.h>

#include "app/components.h"
#include "app/continuation.h"
#include "app/options.h"
#include "app/resolve.h"
#include "app/session.h"

namespace cogvx::app {

// One video of a run: what was asked for, what that comes to, and what it begins with.
struct Item {
  Options options;
  RunPlan plan;
  Continuation saved{};
  at::Tensor rgb_FHW3{};  // of the image or the video that it begins with; undefined for text alone
  LoraSet loras{};

  bool only_decodes() const { return !options.decode_latents.empty(); }
};

// Reads what the item begins with and makes it part of the request; then compares that with what it
// goes on from or repeats. Every process calls it. Throws what the readers throw.
void prepare(const Session& session, Item& item);

}  // namespace cogvx::app
