#include "app/verify.h"

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "app/arguments.h"
#include "app/compare/number_text.h"
#include "app/compare/records.h"
#include "app/compare/videos.h"
#include "app/json_text.h"
#include "app/launch.h"
#include "app/output_plan.h"
#include "app/sidecar.h"
#include "app/standard_streams.h"
#include "app/supervisor.h"
#include "core/base/errors.h"
#include "io/temporary.h"

namespace cogvx::app {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int kOtherBytes = 10;

// While one lives, what is written to standard output is lost: it tells of a video that goes again.
class SilentOutput {
 public:
  SilentOutput() : own_(dup(STDOUT_FILENO)) {
    const int nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(nothing, STDOUT_FILENO);
    close(nothing);
  }
  ~SilentOutput() {
    dup2(own_, STDOUT_FILENO);
    close(own_);
  }
  SilentOutput(const SilentOutput&) = delete;
  SilentOutput& operator=(const SilentOutput&) = delete;

 private:
  int own_;
};

// The command with --verify SIDECAR as --from SIDECAR, and its own place for the video.
std::vector<std::string> repetition(int argc, const char* const* argv, const std::string& sidecar,
                                    const std::string& video) {
  std::vector<std::string> words = normalized_arguments(argc, argv);
  std::vector<std::string> command = {argv[0]};
  for (auto word = words.rbegin(); word != words.rend(); ++word) {
    if (word->starts_with("--verify=")) continue;
    if (*word == "--verify") {
      ++word;
      continue;
    }
    if (*word != "--json") command.push_back(*word);
  }
  command.insert(command.end(), {"--from", sidecar, "--output", video, "--launcher", "auto"});
  return command;
}

// The video that the sidecar describes, where it still lies beside it.
std::string video_beside(const std::string& sidecar) {
  const fs::path output = sidecar_output(sidecar);
  const fs::path beside = fs::path(sidecar).parent_path() / output.filename();
  std::error_code ignored;
  return fs::exists(beside, ignored) ? beside.string() : "";
}

// In words; empty where there is nothing to measure it by.
std::string distance_text(const std::string& known, const std::string& made) {
  if (known.empty()) return "";
  try {
    const VideoDistance video = *compare_videos(read_video(known), read_video(made)).video;
    const int64_t worst = video.worst_psnr_frame();
    return "as videos they are " + number_text("%.2f", psnr_of(video.mean_mse())) +
           " dB apart (PSNR), the worst frame, " + std::to_string(worst) + ", " +
           number_text("%.2f", psnr_of(video.frames[static_cast<size_t>(worst)].mse));
  } catch (const DataError& unreadable) {
    return unreadable.what();
  }
}

void print(const Options& options, const Comparison& result, const std::string& distance) {
  const std::string& sidecar = options.verify;
  if (options.json) {
    std::cout << json_text({{"sidecar", sidecar},
                            {"same", result.same},
                            {"sha256_frames", result.sha256_test},
                            {"first_difference", result.first_difference},
                            {"distance", distance},
                            {"notes", result.notes}})
              << "\n";
  } else {
    std::cout << one_line(sidecar + ": " +
                          (result.same ? "identical: latents and frames have the same bytes again, "
                                         "frames' sha256 " +
                                             result.sha256_test
                                       : "DIFFERENT: " + result.first_difference + " is another"))
              << "\n";
    if (!distance.empty()) std::cout << "  " << one_line(distance) << "\n";
    for (const std::string& note : result.notes) std::cout << "  " << one_line(note) << "\n";
  }
  finish_standard_output("the verdict is cut");
}

}  // namespace

int verify(int argc, const char* const* argv, const Options& options,
           const std::atomic<int>& stop_signal) {
  check_verification(options);
  if (launch_place(options.launcher)) {
    throw UsageError(
        "--verify starts its processes itself; call it without a launcher, with --cp and --sp");
  }
  const SidecarRecord known = read_sidecar_record(options.verify);
  Options repeated;
  apply_json(sidecar_options(options.verify), options.verify, repeated);
  const fs::path folder = fs::temp_directory_path();
  const io::Temporary place(io::TemporaryKind::kFolder, folder, "cogvx-verify", folder);
  const std::string video = (place.path() / video_name("video", repeated)).string();
  const Supervision run{.arguments = repetition(argc, argv, options.verify, video),
                        .world = static_cast<int>(options.cp * options.sp),
                        .dist_timeout = options.dist_timeout};
  int code = 0;
  {
    const SilentOutput silent;
    code = supervise(run, stop_signal);
  }
  if (code != 0) return code;
  const Comparison result = compare_sidecars(
      known, read_sidecar_record(fs::path(video).replace_extension(".json").string()));
  print(options, result, result.same ? "" : distance_text(video_beside(options.verify), video));
  return result.same ? 0 : kOtherBytes;
}

}  // namespace cogvx::app
