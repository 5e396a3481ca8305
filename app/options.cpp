#include "app/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "app/sidecar.h"
#include "core/base/errors.h"
#include "core/weights/config.h"

namespace cogvx::app {
namespace {

using nlohmann::json;

constexpr const char* kVideo = "the video";
constexpr const char* kWhere = "where";
constexpr const char* kOutput = "output";
constexpr const char* kAsking = "asking";

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

int64_t parse_whole(const std::string& name, const std::string& text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    throw UsageError(name + " is '" + text + "', wanted a whole number");
  }
  return value;
}

double parse_real(const std::string& name, const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) {
    throw UsageError(name + " is '" + text + "', wanted a number");
  }
  return value;
}

void check_choice(const OptionSpec& spec, const std::string& name, const std::string& value) {
  if (spec.choices.empty() ||
      std::find(spec.choices.begin(), spec.choices.end(), value) != spec.choices.end())
    return;
  std::string wanted;
  for (const std::string& choice : spec.choices) wanted += (wanted.empty() ? "" : ", ") + choice;
  throw UsageError(name + " is '" + value + "', wanted one of: " + wanted);
}

void set_option(const OptionSpec& spec, const std::string& text, Options& options) {
  const std::string& name = spec.names.front();
  check_choice(spec, name, text);
  std::visit(
      Overloaded{[&](std::string Options::*m) { options.*m = text; },
                 [&](std::optional<std::string> Options::*m) { options.*m = text; },
                 [&](int64_t Options::*m) { options.*m = parse_whole(name, text); },
                 [&](std::optional<int64_t> Options::*m) { options.*m = parse_whole(name, text); },
                 [&](double Options::*m) { options.*m = parse_real(name, text); },
                 [&](bool Options::*m) { options.*m = true; }},
      spec.target);
}

std::string joined_names(const OptionSpec& spec) {
  std::string names;
  for (const std::string& name : spec.names) names += (names.empty() ? "" : ",") + name;
  return names;
}

void build_parser(CLI::App& parser, Options& options) {
  parser.set_help_flag();
  for (const OptionSpec& spec : option_table()) {
    CLI::Option* option = nullptr;
    if (spec.value == nullptr) {
      option = parser.add_flag_callback(
          joined_names(spec), [&] { set_option(spec, "", options); }, spec.help);
    } else {
      const auto set = [&](const std::string& text) { set_option(spec, text, options); };
      option = parser.add_option_function<std::string>(joined_names(spec), set, spec.help);
      option->option_text(spec.value)->take_last();
    }
    option->group(spec.group);
  }
}

// --num_frames is --num-frames: both spellings of every long name are accepted.
std::vector<std::string> normalized_arguments(int argc, const char* const* argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  for (std::string& argument : arguments) {
    if (argument == "--") break;
    if (!argument.starts_with("--")) continue;
    const size_t end = std::min(argument.find('='), argument.size());
    std::replace(argument.begin(), argument.begin() + static_cast<int64_t>(end), '_', '-');
  }
  std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
  return arguments;
}

void parse_onto(const std::vector<std::string>& arguments, Options& options) {
  CLI::App parser;
  build_parser(parser, options);
  try {
    std::vector<std::string> copy = arguments;
    parser.parse(copy);
  } catch (const CLI::ExtrasError& error) {
    throw UsageError(std::string(error.what()) + "; see cogvx-gen --help");
  } catch (const CLI::ParseError& error) {
    throw UsageError(error.what());
  }
}

json option_value(const OptionSpec& spec, const Options& options) {
  return std::visit(Overloaded{[&](std::optional<std::string> Options::*m) {
                                 return options.*m ? json(*(options.*m)) : json();
                               },
                               [&](std::optional<int64_t> Options::*m) {
                                 return options.*m ? json(*(options.*m)) : json();
                               },
                               [&](auto m) { return json(options.*m); }},
                    spec.target);
}

bool belongs_into_config(const OptionSpec& spec) { return spec.group != std::string(kAsking); }

void apply_value(const OptionSpec& spec, const json& value, const std::string& label,
                 Options& options) {
  const auto fail = [&](const char* wanted) {
    throw DataError(label + ": '" + spec.key() + "' is " + value.dump() + ", wanted " + wanted);
  };
  if (value.is_null()) return;
  if (spec.value == nullptr) {
    if (!value.is_boolean()) fail("true or false");
    options.*std::get<bool Options::*>(spec.target) = value;
    return;
  }
  const bool text = std::holds_alternative<std::string Options::*>(spec.target) ||
                    std::holds_alternative<std::optional<std::string> Options::*>(spec.target);
  if (text ? !value.is_string() : !value.is_number()) fail(text ? "a string" : "a number");
  try {
    set_option(spec, text ? value.get<std::string>() : value.dump(), options);
  } catch (const UsageError& error) {
    throw DataError(label + ": " + error.what());
  }
}

}  // namespace

const std::vector<OptionSpec>& option_table() {
  using O = Options;
  static const std::vector<std::string> kOnOff = {"on", "off"};
  static const std::vector<std::string> kAutoOnOff = {"auto", "on", "off"};
  static const std::vector<OptionSpec> table = {
      {{"--model"}, kVideo, "DIR", "checkpoint in the diffusers directory layout", &O::model},
      {{"--prompt", "-p"},
       kVideo,
       "TEXT",
       "what to show; may be empty if said so explicitly",
       &O::prompt},
      {{"--prompt-file"},
       kVideo,
       "FILE|-",
       "read the prompt from a file or standard input",
       &O::prompt_file},
      {{"--negative-prompt"}, kVideo, "TEXT", "what to steer away from", &O::negative_prompt},
      {{"--task"}, kVideo, "T", "auto or t2v", &O::task, {"auto", "t2v"}},
      {{"--width"}, kVideo, "PIXELS", "default: the model's trained size", &O::width},
      {{"--height"}, kVideo, "PIXELS", "default: the model's trained size", &O::height},
      {{"--frames", "--num-frames"},
       kVideo,
       "N",
       "default: the model's trained length",
       &O::frames},
      {{"--fps"}, kVideo, "N[/D]", "frames per second of the file; default by model", &O::fps},
      {{"--steps", "--num-inference-steps"}, kVideo, "N", "denoising steps (50)", &O::steps},
      {{"--guidance-scale", "-g"},
       kVideo,
       "X",
       "classifier-free guidance (6); 1 or less: none",
       &O::guidance_scale},
      {{"--dynamic-cfg"},
       kVideo,
       "M",
       "auto, on or off; auto: on with dpm",
       &O::dynamic_cfg,
       kAutoOnOff},
      {{"--scheduler"},
       kVideo,
       "S",
       "auto, ddim or dpm; auto: by model",
       &O::scheduler,
       {"auto", "ddim", "dpm"}},
      {{"--seed"}, kVideo, "N", "same seed, same bytes (42); -1 picks one", &O::seed},
      {{"--dtype"},
       kVideo,
       "T",
       "auto, fp32, bf16 or fp16; auto: the checkpoint's",
       &O::dtype,
       {"auto", "fp32", "bf16", "fp16"}},
      {{"--vae-tiling"},
       kVideo,
       "M",
       "on (default) or off; the two give different frames",
       &O::vae_tiling,
       kOnOff},
      {{"--vae-tile"},
       kVideo,
       "HxW",
       "tile in pixels, multiples of 48 x 40; default: half the VAE's size",
       &O::vae_tile},
      {{"--max-text-tokens"},
       kVideo,
       "N",
       "text length; default: the model's",
       &O::max_text_tokens},
      {{"--strict-prompt"},
       kVideo,
       nullptr,
       "a prompt that is too long is an error, not cut",
       &O::strict_prompt},
      {{"--allow-untrained-size"},
       kVideo,
       nullptr,
       "sizes and lengths the model was not trained on",
       &O::allow_untrained_size},

      {{"--device"}, kWhere, "D", "auto, cpu or cuda", &O::device, {"auto", "cpu", "cuda"}},
      {{"--threads"}, kWhere, "N", "default: all cores; never changes a byte", &O::threads},

      {{"--output", "-o"}, kOutput, "FILE", "the video (output.mp4)", &O::output},
      {{"--overwrite"}, kOutput, nullptr, "replace files that exist", &O::overwrite},
      {{"--save-latents"},
       kOutput,
       "FILE",
       "keep the final latents (safetensors)",
       &O::save_latents},
      {{"--decode-latents"},
       kOutput,
       "FILE",
       "decode saved latents instead of generating",
       &O::decode_latents},
      {{"--frames-dir"}, kOutput, "DIR", "also write every frame as PNG", &O::frames_dir},
      {{"--codec"}, kOutput, "C", "h264", &O::codec, {"h264"}},
      {{"--crf"}, kOutput, "N", "x264 quality, 0 to 51 (17)", &O::crf},
      {{"--json"},
       kOutput,
       nullptr,
       "one JSON object on standard output instead of the path",
       &O::json},
      {{"--progress"},
       kOutput,
       "M",
       "auto, bar, plain, json or none",
       &O::progress,
       {"auto", "bar", "plain", "json", "none"}},
      {{"--verbose", "-v"}, kOutput, nullptr, "say more", &O::verbose},
      {{"--quiet", "-q"}, kOutput, nullptr, "warnings and errors only, no progress", &O::quiet},
      {{"--log-file"}, kOutput, "FILE", "write messages there too", &O::log_file},

      {{"--config"}, kAsking, "FILE", "options from a JSON file; flags win", &O::config},
      {{"--from"}, kAsking, "SIDECAR", "repeat the video a sidecar describes; flags win", &O::from},
      {{"--dump-config"},
       kAsking,
       nullptr,
       "print the options as resolved, as JSON, and stop",
       &O::dump_config},
      {{"--list-devices"},
       kAsking,
       nullptr,
       "print what could compute here, and stop",
       &O::list_devices},
      {{"--completion"},
       kAsking,
       nullptr,
       "print a bash completion script, and stop",
       &O::completion},
      {{"--version"}, kAsking, nullptr, "print versions, and stop", &O::version},
      {{"--help", "-h"}, kAsking, nullptr, "print this, and stop", &O::help},
  };
  return table;
}

std::string OptionSpec::key() const {
  std::string key = names.front().substr(2);
  std::replace(key.begin(), key.end(), '-', '_');
  return key;
}

Options parse_options(int argc, const char* const* argv) {
  const std::vector<std::string> arguments = normalized_arguments(argc, argv);
  Options given;
  parse_onto(arguments, given);
  Options options;
  if (!given.from.empty()) apply_json(sidecar_options(given.from), given.from, options);
  if (!given.config.empty()) apply_json(read_json_object(given.config), given.config, options);
  parse_onto(arguments, options);
  return options;
}

json options_to_json(const Options& options) {
  json values = json::object();
  for (const OptionSpec& spec : option_table()) {
    if (belongs_into_config(spec)) values[spec.key()] = option_value(spec, options);
  }
  return values;
}

void apply_json(const json& values, const std::string& label, Options& options) {
  for (const auto& [key, value] : values.items()) {
    const auto& table = option_table();
    const auto spec =
        std::find_if(table.begin(), table.end(),
                     [&, &wanted = key](const OptionSpec& s) { return s.key() == wanted; });
    if (spec == table.end() || !belongs_into_config(*spec)) {
      throw DataError(label + ": unknown key '" + key +
                      "'; cogvx-gen --dump-config prints the known ones");
    }
    apply_value(*spec, value, label, options);
  }
}

void print_help(std::ostream& out) {
  out << "cogvx-gen makes a video from a prompt with a CogVideoX model.\n\n"
         "  cogvx-gen --model DIR --prompt TEXT [-o FILE]\n\n"
         "Everything under 'the video' decides its bytes; nothing under 'where' can change them.\n";
  const char* group = "";
  for (const OptionSpec& spec : option_table()) {
    if (group != std::string(spec.group)) out << "\n" << (group = spec.group) << ":\n";
    std::string left = "  ";
    for (size_t i = 0; i < spec.names.size(); ++i) left += (i > 0 ? ", " : "") + spec.names[i];
    if (spec.value != nullptr) left += std::string(" ") + spec.value;
    left.resize(std::max<size_t>(left.size() + 2, 42), ' ');
    out << left << spec.help << "\n";
  }
}

void print_completion(std::ostream& out) {
  std::string names, cases;
  for (const OptionSpec& spec : option_table()) {
    for (const std::string& name : spec.names) names += (names.empty() ? "" : " ") + name;
    if (spec.choices.empty()) continue;
    std::string choices;
    for (const std::string& choice : spec.choices) choices += (choices.empty() ? "" : " ") + choice;
    cases += "    " + spec.names.front() + ") COMPREPLY=($(compgen -W '" + choices +
             "' -- \"$word\")); return ;;\n";
  }
  out << "_cogvx_gen() {\n  local word=${COMP_WORDS[COMP_CWORD]}\n  case "
         "${COMP_WORDS[COMP_CWORD-1]} in\n"
      << cases << "  esac\n  if [[ $word == -* ]]; then COMPREPLY=($(compgen -W '" << names
      << "' -- \"$word\")); else COMPREPLY=($(compgen -f -- \"$word\")); fi\n}\ncomplete -o "
         "filenames -F _cogvx_gen cogvx-gen\n";
}

}  // namespace cogvx::app
