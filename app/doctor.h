#pragma once

#include <string>
#include <vector>

#include "app/options.h"

namespace cogvx::app {

// What was found about one thing that a run needs.
struct Finding {
  enum class Level { kOk, kWarning, kProblem };
  Level level = Level::kOk;
  std::string name;  // "libav encoders"
  std::string text;
  std::string cure{};  // empty: nothing to do
  bool operator==(const Finding&) const = default;
};

// Everything about this machine that can be looked at without a model. What stands in the way of a
// GPU is a problem with --device cuda, else a warning. Makes processes' ways of meeting, copies
// between GPUs and a file in the folder for temporary ones, and takes all of it away again.
std::vector<Finding> examine(const Options& options);

// Lines "ok  name  text", or one JSON object.
std::string findings_text(const std::vector<Finding>& findings);
std::string findings_json(const std::vector<Finding>& findings);
// 4 where there is a problem, else 0.
int findings_exit_code(const std::vector<Finding>& findings);

// Its parts. `wanted`: whether a GPU was asked for.
std::vector<Finding> examine_machine();
std::vector<Finding> examine_software();
std::vector<Finding> examine_gpus(bool wanted);

}  // namespace cogvx::app
