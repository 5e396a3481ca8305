#include "app/arguments.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "app/nearest_word.h"
#include "core/base/errors.h"
#include "core/text/prompt_text.h"

namespace cogvx::app {

std::vector<std::string> normalized_arguments(int argc, const char* const* argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  for (std::string& argument : arguments) {
    if (argument == "--") break;
    if (!argument.starts_with("--")) continue;
    const size_t end = std::min(argument.find('='), argument.size());
    std::replace(argument.begin(), argument.begin() + static_cast<int64_t>(end), '_', '-');
  }
  std::reverse(arguments.begin(), arguments.end());
  return arguments;
}

std::string joined_names(const std::vector<std::string>& names) {
  std::string joined;
  for (const std::string& name : names) joined += (joined.empty() ? "" : ",") + name;
  return joined;
}

std::string help_row(const std::vector<std::string>& names, const char* value, const char* help,
                     size_t column) {
  std::string row = "  ";
  for (size_t i = 0; i < names.size(); ++i) row += (i > 0 ? ", " : "") + names[i];
  if (value != nullptr) row += std::string(" ") + value;
  row.resize(std::max(row.size() + 2, column), ' ');
  return row + help + "\n";
}

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

std::string unknown_flag_text(const std::string& word, const std::vector<std::string>& known,
                              const std::string& program) {
  const std::string flag = word.substr(0, word.find('='));
  const std::string near = nearest_word(flag, known);
  return "unknown flag '" + excerpt(flag, 60) + "'" +
         (near.empty() ? "" : "; did you mean " + near + "?") + " (see " + program + " --help)";
}

}  // namespace cogvx::app
