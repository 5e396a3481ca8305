#include "app/output_plan.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>

#include "app/output_names.h"
#include "app/sidecar.h"
#include "core/base/errors.h"
#include "core/pipeline/saved_run.h"
#include "core/weights/mapped_file.h"
#include "io/atomic_file.h"
#include "io/frames_folder.h"

namespace cogvx::app {
namespace {

namespace fs = std::filesystem;

constexpr int kDefaultCrf = 17;

io::VideoCodec choose_codec(const Options& options) {
  if (options.lossless && options.codec != "auto" && options.codec != "ffv1") {
    throw UsageError("--lossless is given with --codec " + options.codec +
                     ", which loses something; drop one of them");
  }
  if (options.codec != "auto") return *io::codec_of_name(options.codec);
  return options.lossless ? io::VideoCodec::kFfv1 : io::VideoCodec::kH264;
}

io::VideoSettings choose_settings(const Options& options, const ModelKind& kind) {
  io::VideoSettings settings{
      .codec = choose_codec(options),
      .frame_rate = options.fps.empty() ? kind.frame_rate : parse_frame_rate(options.fps)};
  if (options.crf && !io::codec_has_crf(settings.codec)) {
    throw UsageError(std::string("--crf is given with the lossless codec ") +
                     io::codec_name(settings.codec) + "; drop one of them");
  }
  const int64_t crf = options.crf.value_or(kDefaultCrf);
  if (crf < 0 || crf > 51) {
    throw UsageError("--crf is " + std::to_string(crf) +
                     ", wanted 0 (best) to 51; nearest: " + (crf < 0 ? "0" : "51"));
  }
  settings.crf = static_cast<int>(crf);
  return settings;
}

fs::path beside(const fs::path& video, const char* extension) {
  return fs::path(video).replace_extension(extension);
}

bool exists(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

bool is_same_file(const fs::path& a, const fs::path& b) {
  std::error_code ignored;
  return fs::equivalent(a, b, ignored);
}

// Two outputs under one name would lose one of them without a word.
void check_distinct(const OutputPlan& plan) {
  std::map<fs::path, const char*> seen;
  const auto add = [&](const std::string& path, const char* what) {
    if (path.empty()) return;
    const auto [place, fresh] = seen.try_emplace(fs::path(path).lexically_normal(), what);
    if (!fresh) {
      throw UsageError("'" + path + "' would be both " + place->second + " and " + what +
                       "; give one of them another name");
    }
  };
  add(plan.video, "the video");
  add(plan.sidecar, "its sidecar");
  add(plan.latents, "the latents");
  add(plan.state, "the saved state");
  add(plan.frames_dir, "the folder of frames");
  add(plan.trace, "the trace");
}

// What an interrupted run left under a name of this run.
struct Leftover {
  bool found = false;
  int64_t step = 0;
};

// A file of another request may be all that is left of hours of work.
template <typename Parse>
Leftover find_leftover(const std::string& path, const Request& request, bool overwrite,
                       const Parse& parse) {
  if (!exists(path)) return {};
  std::string why = "of another request";
  try {
    const MappedFile file(path);
    const auto stored = parse(file.bytes(), path);
    if (request_differences(stored.request, request).empty()) {
      if constexpr (requires { stored.next_step; }) return {true, stored.next_step};
      return {true, 0};
    }
  } catch (const DataError&) {
    why = "not one that this version reads";
  }
  if (overwrite) return {};
  throw UsageError("'" + path + "' exists and is " + why +
                   "; give another --output, or pass --overwrite to replace it");
}

void notice_leftover_state(const Options& options, const OutputPlan& plan, const Request& request,
                           std::vector<std::string>& notices) {
  if (is_same_file(plan.state, options.resume)) return;
  const Leftover left = find_leftover(plan.state, request, options.overwrite, parse_state);
  if (!left.found) return;
  notices.push_back("an interrupted run left step " + std::to_string(left.step) +
                    " of this video in " + plan.state + "; --resume " + plan.state +
                    " would go on from there");
}

Leftover leftover_latents(const Options& options, const std::string& path, const Request& request,
                          std::vector<std::string>& notices) {
  if (is_same_file(path, options.decode_latents)) return {true};
  const Leftover left = find_leftover(path, request, options.overwrite, parse_latents);
  if (left.found) {
    notices.push_back("an interrupted run left the final latents of this video in " + path +
                      "; --decode-latents " + path + " would only decode them");
  }
  return left;
}

// Whether the video that stands there is this one to the byte, by its sidecar.
bool is_this_video(const OutputPlan& plan, const Request& request) {
  try {
    const nlohmann::json made = sidecar_options(plan.sidecar);
    return request_differences(sidecar_request(plan.sidecar), request).empty() &&
           made == video_options(request, plan.settings);
  } catch (const DataError&) {
    return false;
  }
}

void check_files(const Options& options, OutputPlan& plan, const Request& request,
                 std::vector<std::string>& notices) {
  const std::string& safe_latents = plan.safe_latents;
  // A run that came to its final latents had passed these checks, and may have been killed while it
  // gave its files their names; they must not stop the same command now.
  const bool finishing = leftover_latents(options, safe_latents, request, notices).found &&
                         (!exists(plan.video) || is_this_video(plan, request));
  const bool overwrite = options.overwrite || finishing;
  io::check_writable(plan.video, overwrite);
  io::check_writable(plan.sidecar, overwrite);
  if (!plan.frames_dir.empty()) io::check_frames_folder(plan.frames_dir, overwrite);
  if (!plan.trace.empty()) io::check_writable(plan.trace, overwrite);
  if (plan.keep_latents) {
    io::check_writable(plan.latents, options.overwrite || is_same_file(plan.latents, safe_latents));
  } else if (options.decode_latents.empty()) {
    plan.latents = safe_latents;
  }
  if (options.decode_latents.empty()) notice_leftover_state(options, plan, request, notices);
}

}  // namespace

io::FrameRate parse_frame_rate(const std::string& text) {
  const auto part = [](std::string_view digits) {
    int value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    const bool whole = error == std::errc() && end == digits.data() + digits.size();
    return whole && value >= 1 && value <= 1'000'000 ? value : 0;
  };
  const size_t slash = std::min(text.find('/'), text.size());
  const io::FrameRate rate{
      part(std::string_view(text).substr(0, slash)),
      slash == text.size() ? 1 : part(std::string_view(text).substr(slash + 1))};
  if (rate.numerator == 0 || rate.denominator == 0)
    throw UsageError("--fps is '" + text + "', wanted frames per second such as 8 or 30000/1001");
  return rate;
}

std::string frame_rate_text(const io::FrameRate& rate) {
  return std::to_string(rate.numerator) +
         (rate.denominator == 1 ? "" : "/" + std::to_string(rate.denominator));
}

OutputPlan outline_output(const Options& options, const ModelKind& kind, const Request& request) {
  const io::VideoSettings settings = choose_settings(options, kind);
  OutputPlan plan{.video = options.output.value_or(video_name("output", options)),
                  .sidecar = {},
                  .latents = options.save_latents,
                  .safe_latents = {},
                  .keep_latents = !options.save_latents.empty(),
                  .state = {},
                  .checkpoint_every = options.checkpoint_every.value_or(0),
                  .frames_dir = options.frames_dir,
                  .trace = options.trace,
                  .settings = settings,
                  .with_metadata = !options.no_metadata};
  if (options.checkpoint_every && *options.checkpoint_every < 1) {
    throw UsageError("--checkpoint-every is " + std::to_string(*options.checkpoint_every) +
                     ", wanted 1 or more steps; nearest: 1");
  }
  plan.sidecar = beside(plan.video, ".json");
  plan.state = beside(plan.video, ".state.safetensors");
  plan.safe_latents = beside(plan.video, ".latents.safetensors");
  io::check_video(plan.video, {static_cast<int>(request.width), static_cast<int>(request.height)},
                  plan.settings);
  check_distinct(plan);
  return plan;
}

OutputPlan plan_output(const Options& options, const ModelKind& kind, const Request& request,
                       std::vector<std::string>& notices) {
  OutputPlan plan = outline_output(options, kind, request);
  check_files(options, plan, request, notices);
  return plan;
}

Options with_output_names(Options options, const Request& request, const ItemPlace& place) {
  const NameValues values{
      .index = place.index, .count = place.count, .seed = request.seed, .prompt = request.prompt};
  const auto expand = [&](std::string& name, const char* flag) {
    name = expand_name(name, values, flag);
  };
  if (options.output) expand(*options.output, "--output");
  expand(options.save_latents, "--save-latents");
  expand(options.frames_dir, "--frames-dir");
  expand(options.trace, "--trace");
  return options;
}

std::string video_name(const std::string& stem, const Options& options) {
  return stem + io::codec_extension(choose_codec(options));
}

}  // namespace cogvx::app
