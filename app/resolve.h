#pragma once

#include <string>
#include <vector>

#include "app/engine.h"
#include "app/model_kinds.h"
#include "app/options.h"
#include "core/pipeline/request.h"
#include "io/frames.h"

namespace cogvx::app {

// Where results go. Empty paths: not wanted.
struct OutputPlan {
  std::string video;
  std::string sidecar;
  std::string latents;  // kept, or kept for safety until the video is written
  bool keep_latents = false;
  std::string frames_dir;
  io::FrameRate frame_rate;
  int crf = 17;
  bool overwrite = false;
};

// A run, decided and checked before any weight is read.
struct RunPlan {
  ModelKind kind;
  Request request;  // checkpoint hashes still empty
  Placement placement;
  OutputPlan output;
  std::vector<std::string> notices;
};

// Throws UsageError, DataError, DeviceError or OutputError with the nearest legal value where there
// is one.
RunPlan resolve(const Options& options, const Checkpoint& checkpoint);
// The same for --decode-latents, whose request comes with the latents.
RunPlan resolve_decoding(const Options& options, const Checkpoint& checkpoint,
                         const Request& request);
// The options with everything that `auto` and defaults left open filled in.
Options resolved_options(const Options& options, const RunPlan& plan);
// What can be checked without a checkpoint.
void check_options(const Options& options);

// "--fps 30000/1001"
io::FrameRate parse_frame_rate(const std::string& text);
std::string frame_rate_text(const io::FrameRate& rate);

}  // namespace cogvx::app
