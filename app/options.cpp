#include "app/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>

#include "app/arguments.h"
#include "app/nearest_word.h"
#include "app/sidecar.h"
#include "core/base/errors.h"
#include "core/pipeline/saved_run.h"
#include "core/text/prompt_text.h"
#include "core/weights/config.h"
#include "core/weights/mapped_file.h"

namespace cogvx::app {
namespace {

using nlohmann::json;

constexpr size_t kHelpColumn = 42;

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

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
                 [&](std::optional<double> Options::*m) { options.*m = parse_real(name, text); },
                 [&](std::vector<std::string> Options::*m) { (options.*m).push_back(text); },
                 [&](bool Options::*m) { options.*m = true; }},
      spec.target);
}

void build_parser(CLI::App& parser, Options& options) {
  parser.set_help_flag();
  for (const OptionSpec& spec : option_table()) {
    CLI::Option* option = nullptr;
    if (const auto* list = std::get_if<std::vector<std::string> Options::*>(&spec.target)) {
      const auto set = [&options, member = *list](const std::vector<std::string>& texts) {
        options.*member = texts;
      };
      option = parser.add_option_function<std::vector<std::string>>(joined_names(spec.names), set,
                                                                    spec.help);
      option->option_text(spec.value)->expected(1)->take_all();
    } else if (spec.value == nullptr) {
      option = parser.add_flag_callback(
          joined_names(spec.names), [&] { set_option(spec, "", options); }, spec.help);
    } else {
      const auto set = [&](const std::string& text) { set_option(spec, text, options); };
      option = parser.add_option_function<std::string>(joined_names(spec.names), set, spec.help);
      option->option_text(spec.value)->take_last();
    }
    option->group(spec.group);
  }
}

std::string unexpected_text(const std::string& word) {
  if (!word.starts_with("-")) {
    return "unexpected word '" + excerpt(word, 60) +
           "'; a prompt stands in quotes after --prompt, see cogvx-gen --help";
  }
  std::vector<std::string> known;
  for (const OptionSpec& spec : option_table())
    known.insert(known.end(), spec.names.begin(), spec.names.end());
  return unknown_flag_text(word, known, "cogvx-gen");
}

void parse_onto(const std::vector<std::string>& arguments, Options& options) {
  CLI::App parser;
  build_parser(parser, options);
  try {
    std::vector<std::string> copy = arguments;
    parser.parse(copy);
  } catch (const CLI::ExtrasError&) {
    throw UsageError(unexpected_text(parser.remaining().front()));
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
                               [&](std::optional<double> Options::*m) {
                                 return options.*m ? json(*(options.*m)) : json();
                               },
                               [&](auto m) { return json(options.*m); }},
                    spec.target);
}

std::string suggested_key(const std::string& key) {
  std::vector<std::string> known;
  for (const OptionSpec& spec : option_table()) known.push_back(spec.key());
  const std::string near = nearest_word(key, known);
  return near.empty() ? "" : ", did you mean '" + near + "'?";
}

bool belongs_into_config(const OptionSpec& spec) { return spec.group != std::string(kAskingGroup); }

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
  if (const auto* list = std::get_if<std::vector<std::string> Options::*>(&spec.target)) {
    if (!value.is_array()) fail("a list of strings");
    options.*(*list) = {};
    for (const json& entry : value) {
      if (!entry.is_string()) fail("a list of strings");
      set_option(spec, entry, options);
    }
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

namespace {

// A saved run brings its own request.
json continued_options(const Options& given) {
  const std::string& path = given.resume.empty() ? given.decode_latents : given.resume;
  const MappedFile file(path);
  return request_options(given.resume.empty() ? parse_latents(file.bytes(), path).request
                                              : parse_state(file.bytes(), path).request);
}

// Where two options say one thing, the flag given takes the place of both.
void drop_replaced(const Options& given, Options& options) {
  if (!given.prompt_file.empty()) options.prompt.reset();
  if (given.prompt) options.prompt_file.clear();
  if (given.vae_tiling == "off") options.vae_tile.clear();
  if (!given.vae_tile.empty()) options.vae_tiling = "on";
  if (given.lossless) options.codec = "auto";
  if (given.codec != "auto") options.lossless = false;
}

}  // namespace

Options parse_options(int argc, const char* const* argv) {
  const std::vector<std::string> arguments = normalized_arguments(argc, argv);
  Options given;
  parse_onto(arguments, given);
  if (given.help || given.version || given.completion) return given;
  check_exclusive(given);
  Options options;
  if (!given.from.empty()) apply_json(sidecar_options(given.from), given.from, options);
  if (!given.resume.empty() || !given.decode_latents.empty()) {
    apply_json(continued_options(given), given.resume.empty() ? given.decode_latents : given.resume,
               options);
  }
  if (!given.config.empty()) apply_json(read_json_object(given.config), given.config, options);
  drop_replaced(given, options);
  parse_onto(arguments, options);
  return options;
}

void check_exclusive(const Options& options) {
  const auto exclude = [](bool a, const char* a_name, bool b, const char* b_name) {
    if (a && b)
      throw UsageError(std::string(a_name) + " and " + b_name +
                       " are both given; drop one of them");
  };
  const bool resumes = !options.resume.empty();
  const bool decodes = !options.decode_latents.empty();
  exclude(resumes, "--resume", decodes, "--decode-latents");
  exclude(resumes, "--resume", !options.from.empty(), "--from");
  exclude(decodes, "--decode-latents", !options.from.empty(), "--from");
  exclude(decodes, "--decode-latents", !options.save_latents.empty(), "--save-latents");
  exclude(decodes, "--decode-latents", options.checkpoint_every.has_value(), "--checkpoint-every");
  exclude(options.prompt.has_value(), "--prompt", !options.prompt_file.empty(), "--prompt-file");
  const bool batch = !options.batch.empty();
  exclude(batch, "--batch", !options.prompt_file.empty(), "--prompt-file");
  exclude(batch, "--batch", resumes, "--resume");
  exclude(batch, "--batch", decodes, "--decode-latents");
  exclude(batch, "--batch", !options.from.empty(), "--from");
  exclude(batch, "--batch", options.dump_config, "--dump-config");
  exclude(batch, "--batch", options.plan, "--plan");
  if (batch) return;
  for (const auto& [given, name] : {std::pair{options.resume_batch, "--resume-batch"},
                                    std::pair{options.fail_fast, "--fail-fast"},
                                    std::pair{!options.shard.empty(), "--shard"}}) {
    if (given) throw UsageError(std::string(name) + " is for a batch; give --batch, or drop it");
  }
}

// Where and how, and what is said of it; the sidecar knows all else.
void check_verification(const Options& options) {
  constexpr const char* kAlso[] = {"model", "json",     "progress", "verbose",
                                   "quiet", "log_file", "verify"};
  const Options nothing;
  for (const OptionSpec& spec : option_table()) {
    const bool allowed =
        spec.group == std::string(kWhereGroup) ||
        std::find(std::begin(kAlso), std::end(kAlso), spec.key()) != std::end(kAlso);
    if (allowed || option_value(spec, options) == option_value(spec, nothing)) continue;
    throw UsageError(spec.names.front() +
                     " is given with --verify, which takes all that decides the video from its "
                     "sidecar; drop one of them");
  }
  if (options.model.empty())
    throw UsageError("--model is missing: the checkpoint directory that the video was made with");
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
      throw DataError(label + ": unknown key '" + excerpt(key, 60) + "'" + suggested_key(key) +
                      "; cogvx-gen --dump-config prints the known ones");
    }
    apply_value(*spec, value, label, options);
  }
}

void apply_json_over(const json& values, const std::string& label, Options& options) {
  Options given;
  apply_json(values, label, given);
  drop_replaced(given, options);
  apply_json(values, label, options);
}

void print_help(std::ostream& out) {
  out << "cogvx-gen makes a video from a prompt with a CogVideoX model.\n\n"
         "  cogvx-gen --model DIR --prompt TEXT [-o FILE]\n\n"
         "Everything under 'the video' decides its bytes; nothing under 'where' can change them.\n";
  const char* group = "";
  for (const OptionSpec& spec : option_table()) {
    if (group != std::string(spec.group)) out << "\n" << (group = spec.group) << ":\n";
    out << help_row(spec.names, spec.value, spec.help, kHelpColumn);
  }
}

void print_completion(std::ostream& out) {
  std::string names, cases;
  for (const OptionSpec& spec : option_table()) {
    std::string pattern, choices;
    for (const std::string& name : spec.names) {
      names += (names.empty() ? "" : " ") + name;
      pattern += (pattern.empty() ? "" : "|") + name;
    }
    for (const std::string& choice : spec.choices) choices += (choices.empty() ? "" : " ") + choice;
    if (!choices.empty()) cases += "    " + pattern + ") choices='" + choices + "' ;;\n";
  }
  // Bash takes --codec=h264 for three words. File names are left to readline, which quotes them.
  out << R"(_cogvx_gen() {
  local word=${COMP_WORDS[COMP_CWORD]} flag=${COMP_WORDS[COMP_CWORD-1]} choices=''
  if [[ $word == = ]]; then word=''; elif [[ $flag == = ]]; then flag=${COMP_WORDS[COMP_CWORD-2]}; fi
  case $flag in
)" << cases
      << R"(  esac
  if [[ -n $choices ]]; then compopt +o default; elif [[ $word == -* ]]; then choices=')"
      << names << R"('; fi
  mapfile -t COMPREPLY < <(compgen -W "$choices" -- "$word")
}
complete -o default -F _cogvx_gen cogvx-gen
)";
}

}  // namespace cogvx::app
