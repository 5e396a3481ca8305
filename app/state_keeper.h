#pragma once

#include <mutex>
#include <string>
#include <utility>

#include "app/console.h"
#include "app/output_plan.h"
#include "app/saved_run_files.h"

namespace cogvx::app {

// Keeps an unfinished run on disk, so that it can go on after an interruption. A state that cannot
// be written is a warning: it is no reason to throw away the run itself. Any thread may call it.
class StateKeeper {
 public:
  // All but the state must outlive it; the request's checkpoint hashes are known before the first
  // step. `first` is the state that the run begins with, `way_on` the flag that goes on from the
  // file.
  StateKeeper(const OutputPlan& plan, const Request& request, const DenoiseState& first,
              Console& console, std::string way_on)
      : plan_(plan),
        request_(request),
        console_(console),
        way_on_(std::move(way_on)),
        last_(first) {}

  void after_step(const DenoiseState& state);
  // Saves the last step there was, if that was not done; what an interrupted run can say about how
  // to go on.
  std::string keep_interrupted();

 private:
  bool write(const DenoiseState& state);

  const OutputPlan& plan_;
  const Request& request_;
  Console& console_;
  std::string way_on_;
  std::mutex mutex_;
  DenoiseState last_;  // its tensors are never written to again
  int64_t written_step_ = 0;
};

}  // namespace cogvx::app
