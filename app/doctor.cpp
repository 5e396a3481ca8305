#include "app/doctor.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/json_text.h"
#include "app/standard_streams.h"

namespace cogvx::app {
namespace {

using Level = Finding::Level;

const char* level_name(Level level) {
  switch (level) {
    case Level::kOk:
      return "ok";
    case Level::kWarning:
      return "warning";
    case Level::kProblem:
      break;
  }
  return "problem";
}

constexpr size_t kNameColumn = 9, kTextColumn = 26;

int count_of(const std::vector<Finding>& findings, Level level) {
  return static_cast<int>(std::count_if(findings.begin(), findings.end(),
                                        [&](const Finding& f) { return f.level == level; }));
}

}  // namespace

std::vector<Finding> examine(const Options& options) {
  std::vector<Finding> all = examine_machine();
  const auto add = [&](std::vector<Finding> more) {
    all.insert(all.end(), more.begin(), more.end());
  };
  add(examine_software());
  add(examine_gpus(/*wanted=*/options.device == "cuda"));
  return all;
}

std::string findings_text(const std::vector<Finding>& findings) {
  std::string text;
  for (const Finding& finding : findings) {
    std::string left = level_name(finding.level);
    left.resize(kNameColumn, ' ');
    left += finding.name;
    left.resize(std::max(left.size() + 1, kTextColumn), ' ');
    text += left + one_line(finding.text) + "\n";
    if (!finding.cure.empty())
      text += std::string(kTextColumn, ' ') + "-> " + one_line(finding.cure) + "\n";
  }
  const int problems = count_of(findings, Level::kProblem);
  const int warnings = count_of(findings, Level::kWarning);
  return text + std::to_string(problems) + (problems == 1 ? " problem, " : " problems, ") +
         std::to_string(warnings) + (warnings == 1 ? " warning\n" : " warnings\n");
}

std::string findings_json(const std::vector<Finding>& findings) {
  nlohmann::json list = nlohmann::json::array();
  for (const Finding& finding : findings) {
    list.push_back({{"level", level_name(finding.level)},
                    {"name", finding.name},
                    {"text", finding.text},
                    {"cure", finding.cure}});
  }
  return json_text({{"findings", list},
                    {"problems", count_of(findings, Level::kProblem)},
                    {"warnings", count_of(findings, Level::kWarning)}}) +
         "\n";
}

int findings_exit_code(const std::vector<Finding>& findings) {
  return count_of(findings, Level::kProblem) > 0 ? 4 : 0;
}

}  // namespace cogvx::app
