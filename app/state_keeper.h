#pragma once

#include <string>

#include "app/console.h"
#include "app/output_plan.h"
#include "app/saved_run_files.h"

namespace cogvx::app {

// Keeps an unfinished run on disk, so that it can go on after an interruption. A state that cannot
// be written is a warning: it is no reason to throw away the run itself.
class StateKeeper {
 public:
  // All three must outlive it; the request's checkpoint hashes are known before the first step.
  StateKeeper(const OutputPlan& plan, const Request& request, Console& console)
      : plan_(plan), request_(request), console_(console) {}

  void after_step(const DenoiseState& state);
  // What an interrupted run can say about how to go on.
  std::string keep_interrupted(const DenoiseState& state);

 private:
  bool write(const DenoiseState& state);

  const OutputPlan& plan_;
  const Request& request_;
  Console& console_;
  int64_t written_step_ = 0;
};

}  // namespace cogvx::app
