#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "app/components.h"
#include "app/continuation.h"
#include "app/options.h"
#include "app/ranks.h"
#include "app/resolve.h"
#include "app/standing.h"

namespace cogvx::app {

struct Session;

// One video of a run: what was asked for, what that comes to, and what it begins with.
struct Item {
  Options options;
  RunPlan plan;
  Continuation saved{};
  at::Tensor rgb_FHW3{};  // of the image or the video that it begins with; undefined for text alone
  LoraSet loras{};
  BytesMoved moved_before{};  // by this process, for others

  // Of one in a batch:
  int64_t index = 0;    // from 1; 0: the run's only one
  std::string label{};  // its place in the file, "batch.jsonl:7"
  Found found{};        // of an earlier run
  bool is_done = false;

  bool in_batch() const { return index > 0; }
  bool only_decodes() const { return !options.decode_latents.empty(); }
  // How to go on from a file that is left: the flag with its path, or that of a batch.
  std::string way_on(const std::string& flag, const std::string& path) const {
    return in_batch() ? "--resume-batch" : flag + " " + path;
  }
};

// Reads what the item begins with and makes it part of the request; then compares that with what it
// goes on from or repeats. Every process calls it. Throws what the readers throw, and ItemFailed.
void prepare(const Session& session, Item& item);

}  // namespace cogvx::app
