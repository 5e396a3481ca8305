#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "app/engine.h"
#include "app/ranks.h"
#include "app/resolve.h"
#include "core/ops/chooser.h"
#include "core/pipeline/request.h"
#include "core/pipeline/unit_ledger.h"

namespace cogvx::app {

struct StageReport {
  std::string stage;
  double seconds = 0;
  int64_t peak_bytes = 0;
  int64_t predicted_bytes = 0;    // 0: this stage has no prediction
  int64_t device_peak_bytes = 0;  // on a GPU; 0 without
  int64_t device_predicted_bytes = 0;
};

// What a run went on from: a state after `step`, or final latents (step 0).
struct ContinuedFrom {
  std::string path;
  int64_t step = 0;
  std::string engine;  // JSON object: what computed the part before
};

// What one process did.
struct RankReport {
  std::vector<StageReport> stages;
  UnitLedger units;
  BytesMoved moved;          // to other ranks
  PredictedBytes predicted;  // of its forward passes, by the formula
};
nlohmann::json units_to_json(const UnitLedger& units);
nlohmann::json bytes_to_json(const BytesMoved& moved);
nlohmann::json rank_report_to_json(const RankReport& report);

// All there is to say about a finished video.
struct RunReport {
  RunPlan plan;
  Engine engine;
  const std::vector<Verdict>* kernels = nullptr;  // that a GPU's library was found to have
  std::string inputs = "{}";  // JSON object: the options that name files beside the model
  ContinuedFrom continued{};  // empty path: from the beginning
  std::string sha256_latents;
  std::string sha256_frames;
  int64_t frames = 0;
  RankReport own;                   // of rank 0
  std::vector<std::string> others;  // the JSON of the other ranks' reports, in order
  UnitLedger all_units;             // of the whole run
};

// The sidecar file and the --json line.
nlohmann::json report_to_json(const RunReport& report);

// The options that name an image, a video and adapters, with absolute paths; for RunReport::inputs.
nlohmann::json input_options(const Options& options);
// The options that ask for this video, whatever its checkpoint's path.
nlohmann::json request_options(const Request& request);
// With what decides the bytes of the file beside it.
nlohmann::json video_options(const Request& request, const io::VideoSettings& settings);
// The options that repeat the video of a sidecar. Throws DataError.
nlohmann::json sidecar_options(const std::string& path);
// Its request and engine, to be compared with what a repetition found.
Request sidecar_request(const std::string& path);
nlohmann::json sidecar_engine(const std::string& path);
// The path of the video, as it was given.
std::string sidecar_output(const std::string& path);

// For a notice that `path` was made by another Engine than this one.
std::string another_engine_text(const std::string& path);

}  // namespace cogvx::app
