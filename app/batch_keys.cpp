#include "app/batch_keys.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>

#include "core/base/errors.h"

namespace cogvx::app {
namespace {

// What is loaded once, how prompts are encoded together, and what all of a run goes by.
constexpr std::array<std::string_view, 13> kOfTheBatch = {
    "model", "dtype", "attention", "max_text_tokens", "batch", "resume_batch", "fail_fast",
    "shard", "json",  "progress",  "verbose",         "quiet", "log_file"};
constexpr std::array<std::string_view, 2> kOfOneFile = {"resume", "decode_latents"};

template <size_t N>
bool holds(const std::array<std::string_view, N>& keys, const std::string& key) {
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

const OptionSpec* spec_named(std::string key) {
  std::replace(key.begin(), key.end(), '_', '-');
  const auto& table = option_table();
  const auto spec = std::find_if(table.begin(), table.end(), [&](const OptionSpec& s) {
    return std::find(s.names.begin(), s.names.end(), "--" + key) != s.names.end();
  });
  return spec == table.end() ? nullptr : &*spec;
}

void check_place(const OptionSpec& spec, const std::string& label) {
  const std::string key = spec.key(), group = spec.group;
  if (holds(kOfOneFile, key)) {
    throw DataError(label + ": '" + key +
                    "' has no place in a batch; --resume-batch goes on from what is there");
  }
  if ((group != kVideoGroup && group != kOutputGroup) || holds(kOfTheBatch, key)) {
    throw DataError(label + ": '" + key + "' is the same for all of a batch; give " +
                    spec.names.front() + " on the command line");
  }
}

}  // namespace

void apply_line(const nlohmann::json& values, const std::string& label, Options& options) {
  nlohmann::json known = nlohmann::json::object();
  for (const auto& [key, value] : values.items()) {
    const OptionSpec* spec = spec_named(key);
    if (spec != nullptr) check_place(*spec, label);
    // One that is unknown keeps its name, for the message.
    const std::string name = spec == nullptr ? key : spec->key();
    if (known.contains(name))
      throw DataError(label + ": '" + name + "' is given twice, under two of its names");
    known[name] = value;
  }
  apply_json_over(known, label, options);
  if (options.prompt_file == "-") {
    throw DataError(label + ": 'prompt_file' is '-', and all lines would share standard input; " +
                    "name a file, or give 'prompt'");
  }
}

}  // namespace cogvx::app
