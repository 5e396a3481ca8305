#pragma once

#include <string>
#include <vector>

#include "app/model_kinds.h"
#include "app/options.h"
#include "core/pipeline/request.h"
#include "io/video_writer.h"

namespace cogvx::app {

// Where results go. Empty paths: not wanted.
struct OutputPlan {
  std::string video;
  std::string sidecar;
  std::string latents;  // kept, or kept for safety until the video is written
  bool keep_latents = false;
  std::string state;             // for safety, while denoising
  int64_t checkpoint_every = 0;  // steps; 0: only when interrupted
  std::string frames_dir;
  std::string trace;
  io::VideoSettings settings;  // its metadata is filled in when there is something to say
  bool with_metadata = true;
};

// Checks everything that can be refused before hours of work; `notices` tell of what an interrupted
// run of the same request left. Throws UsageError, DataError or OutputError.
OutputPlan plan_output(const Options& options, const ModelKind& kind, const Request& request,
                       std::vector<std::string>& notices);

// "--fps 30000/1001"
io::FrameRate parse_frame_rate(const std::string& text);
std::string frame_rate_text(const io::FrameRate& rate);

}  // namespace cogvx::app
