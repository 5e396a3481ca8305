#pragma once

#include <iosfwd>
#include <string>
#include <variant>
#include <vector>

#include "app/compare/limits.h"

namespace cogvx::app {

// What cogvx-compare can be told, as given.
struct CompareOptions {
  std::vector<std::string> files;  // REF TEST...
  Limits limits{};
  std::string per_frame{};
  std::string heatmap{};
  std::string side_by_side{};
  std::string html{};
  bool overwrite = false;
  bool json = false;
  bool quiet = false;
  bool help = false;
  bool version = false;

  const std::string& reference() const { return files.front(); }
};

// One row of the table that help and parsing come from.
struct CompareOption {
  using Target = std::variant<std::string CompareOptions::*, bool CompareOptions::*,
                              std::optional<double> Limits::*, bool Limits::*>;
  std::vector<std::string> names;  // the first is the name
  const char* group;
  const char* value;  // what help shows for the value; null for a flag
  const char* help;
  Target target;
};
const std::vector<CompareOption>& compare_option_table();

// Throws UsageError.
CompareOptions parse_compare_options(int argc, const char* const* argv);
void print_compare_help(std::ostream& out);

}  // namespace cogvx::app
