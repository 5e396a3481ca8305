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
  std::string latents;       // kept, or kept for safety until the video is written
  std::string safe_latents;  // where those lie that are kept for safety alone
  bool keep_latents = false;
  std::string state;             // for safety, while denoising
  int64_t checkpoint_every = 0;  // steps; 0: only when interrupted
  std::string frames_dir;
  std::string trace;
  io::VideoSettings settings;  // its metadata is filled in when there is something to say
  bool with_metadata = true;
};

// The names and settings alone. Throws UsageError.
OutputPlan outline_output(const Options& options, const ModelKind& kind, const Request& request);

// Which of the videos of a run this is, for {index}.
struct ItemPlace {
  int64_t index = 1;
  int64_t count = 1;
};
// The options with every output's name made from its template. Throws UsageError.
Options with_output_names(Options options, const Request& request, const ItemPlace& place);
// "<stem>.mp4", or what the codec's files end with.
std::string video_name(const std::string& stem, const Options& options);

// Checks everything that can be refused before hours of work; `notices` tell of what an interrupted
// run of the same request left. Throws UsageError, DataError or OutputError.
OutputPlan plan_output(const Options& options, const ModelKind& kind, const Request& request,
                       std::vector<std::string>& notices);

// "--fps 30000/1001"
io::FrameRate parse_frame_rate(const std::string& text);
std::string frame_rate_text(const io::FrameRate& rate);

}  // namespace cogvx::app
