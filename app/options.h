#pragma once

#include <cstdint>
#include <iosfwd>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace cogvx::app {

// Everything cogvx-gen can be told, as given; what is empty is decided by the model's kind.
struct Options {
  // the video
  std::string model;
  std::optional<std::string> prompt;
  std::string prompt_file;
  std::string negative_prompt;
  std::string task = "auto";
  std::string image;
  std::string video;
  int64_t video_frames_from = 0;
  std::string resize_mode = "stretch";
  std::optional<double> strength;
  std::vector<std::string> lora;  // FILE or FILE:SCALE
  std::optional<int64_t> width;
  std::optional<int64_t> height;
  std::optional<int64_t> frames;
  std::string fps;
  int64_t steps = 50;
  double guidance_scale = 6.0;
  std::string dynamic_cfg = "auto";
  std::string scheduler = "auto";
  int64_t seed = 42;
  std::string dtype = "auto";
  std::string vae_tiling = "on";
  std::string vae_tile;
  std::string attention = "auto";
  std::optional<int64_t> max_text_tokens;
  bool strict_prompt = false;
  bool allow_untrained_size = false;
  // where
  std::string device = "auto";
  int64_t cp = 1;
  int64_t sp = 1;
  std::string sp_mode = "ulysses";
  std::optional<int64_t> threads;
  std::string offload = "auto";
  std::string launcher = "auto";
  int64_t dist_timeout = 60;  // seconds
  std::string log_dir;
  // output
  std::optional<std::string> output;  // output.mp4, or .mkv with ffv1
  bool overwrite = false;
  std::string save_latents;
  std::string decode_latents;
  std::optional<int64_t> checkpoint_every;
  std::string resume;
  std::string batch;  // a file, or - for standard input
  bool resume_batch = false;
  bool fail_fast = false;
  std::string shard;  // I/N
  std::string frames_dir;
  std::string trace;
  std::string codec = "auto";  // h264, or ffv1 with lossless
  bool lossless = false;
  std::optional<int64_t> crf;
  bool no_metadata = false;
  bool json = false;
  std::string progress = "auto";
  bool verbose = false;
  bool quiet = false;
  std::string log_file;
  // asking
  std::string config;
  std::string from;
  bool dump_config = false;
  bool list_devices = false;
  bool completion = false;
  bool version = false;
  bool help = false;

  bool operator==(const Options&) const = default;
};

using OptionTarget = std::variant<std::string Options::*, std::optional<std::string> Options::*,
                                  int64_t Options::*, std::optional<int64_t> Options::*,
                                  double Options::*, std::optional<double> Options::*,
                                  std::vector<std::string> Options::*, bool Options::*>;

inline constexpr char kVideoGroup[] = "the video";
inline constexpr char kOutputGroup[] = "output";
inline constexpr char kAskingGroup[] = "asking";

// One row of the table that help, parsing, JSON and completion all come from.
struct OptionSpec {
  std::vector<std::string> names;  // the first is the name; its dashes are underscores in JSON
  const char* group;
  const char* value;  // what help shows for the value; null for a flag
  const char* help;
  OptionTarget target;
  std::vector<std::string> choices{};  // legal values; empty for any

  std::string key() const;
};
const std::vector<OptionSpec>& option_table();

// Command line on top of --config FILE or --from SIDECAR on top of the defaults. Throws UsageError
// or DataError.
Options parse_options(int argc, const char* const* argv);

// Throws UsageError naming two options that exclude each other.
void check_exclusive(const Options& options);

// Values that belong into a config file (all but the questions); and back. Throws DataError naming
// key and wanted type.
nlohmann::json options_to_json(const Options& options);
void apply_json(const nlohmann::json& values, const std::string& label, Options& options);
// The same over options that say something already: where two of them say one thing, those of the
// values take the place of both.
void apply_json_over(const nlohmann::json& values, const std::string& label, Options& options);

void print_help(std::ostream& out);
void print_completion(std::ostream& out);

}  // namespace cogvx::app
