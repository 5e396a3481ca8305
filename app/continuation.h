#pragma once

#include <optional>
#include <string>

#include "app/options.h"
#include "app/saved_run_files.h"
#include "core/weights/checkpoint.h"

namespace cogvx::app {

// What --resume or --decode-latents goes on from; at most one of the two.
struct Continuation {
  std::string path;  // empty: the run starts anew
  std::optional<SavedState> state;
  std::optional<SavedLatents> latents;

  const Request& request() const { return state ? state->request : latents->request; }
  const std::string& engine() const { return state ? state->engine : latents->engine; }
};

// Throws DataError for a file that does not fit its own request or the checkpoint.
Continuation read_continuation(const Options& options, const Checkpoint& checkpoint);

// Throws UsageError, or DataError where the checkpoint decides, naming the first field in which
// this command asks for another video than the saved one. Latents may be decoded with other tiles.
void check_same_request(const Continuation& saved, const Request& request);

}  // namespace cogvx::app
