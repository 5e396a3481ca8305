#include "app/compare/compare_outputs.h"

#include <filesystem>
#include <utility>

#include "core/base/errors.h"
#include "io/atomic_file.h"
#include "io/messages.h"

namespace cogvx::app {
namespace {

namespace fs = std::filesystem;

struct Output {
  const char* flag;
  const std::string& path;
  bool of_latents;  // and not of frames alone
};

std::vector<Output> outputs_of(const CompareOptions& options) {
  std::vector<Output> outputs;
  if (!options.per_frame.empty())
    outputs.push_back({"--per-frame", options.per_frame, /*of_latents=*/true});
  if (!options.heatmap.empty())
    outputs.push_back({"--heatmap", options.heatmap, /*of_latents=*/false});
  if (!options.side_by_side.empty())
    outputs.push_back({"--side-by-side", options.side_by_side, /*of_latents=*/false});
  if (!options.html.empty()) outputs.push_back({"--html", options.html, /*of_latents=*/false});
  return outputs;
}

// One name for what several stand for, also where it is not there yet.
fs::path place_of(const std::string& path) {
  std::error_code error;
  const fs::path place = fs::weakly_canonical(fs::absolute(path, error), error);
  const fs::path normal = error ? fs::path(path).lexically_normal() : place;
  return normal.has_filename() ? normal : normal.parent_path();  // "frames/"
}

void check_is_no_input(const Output& output, const CompareOptions& options) {
  const fs::path place = place_of(output.path);
  for (const std::string& input : options.files) {
    const fs::path source = place_of(input);
    if (place != source && place.parent_path() != source) continue;
    throw UsageError(std::string(output.flag) + " is '" + output.path + "', which " +
                     (place == source ? "is" : "lies in") + " the input '" + input +
                     "'; give another path");
  }
}

// Before videos are read: the encoder goes by the name.
void check_ending(const std::string& path) {
  if (path.empty() || io::lower_case(fs::path(path).extension().string()) == ".mp4") return;
  throw UsageError("--side-by-side is '" + path +
                   "', which does not end in .mp4; it is H.264 in MP4, so give it that ending");
}

}  // namespace

void check_outputs(const CompareOptions& options) {
  check_ending(options.side_by_side);
  const std::vector<Output> outputs = outputs_of(options);
  for (size_t i = 0; i < outputs.size(); ++i) {
    check_is_no_input(outputs[i], options);
    for (size_t other = 0; other < i; ++other) {
      if (place_of(outputs[i].path) != place_of(outputs[other].path)) continue;
      throw UsageError("'" + outputs[i].path + "' would be both " + outputs[other].flag + " and " +
                       outputs[i].flag + "; give one of them another name");
    }
    io::check_writable(outputs[i].path, options.overwrite);
  }
}

void check_outputs_apply(const CompareOptions& options, Kind kind) {
  for (const Output& output : outputs_of(options)) {
    if (kind == Kind::kFrames) continue;
    if (output.of_latents && (kind == Kind::kLatents || kind == Kind::kState)) continue;
    throw UsageError(std::string(output.flag) + " is given, but " + options.reference() +
                     " holds " + kind_name(kind) + "; it is for video frames" +
                     (output.of_latents ? ", latents and states" : ""));
  }
}

}  // namespace cogvx::app
