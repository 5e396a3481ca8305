#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "app/components.h"
#include "app/console.h"
#include "app/host_memory.h"
#include "app/life.h"
#include "app/ranks.h"
#include "app/resolve.h"

#include "app/resident.h"
#include "core/base/errors.h"

namespace cogvx::app {

// One video of a batch cannot be made; the others can. `what` is the first process's reason.
struct ItemFailed : Error {
  ItemFailed(const std::string& reason, int exit_code) : Error(reason), code(exit_code) {}
  int code;  // that a run of this video alone would end with
};

// What the videos of a run share. All of it outlives them.
struct Session {
  const Checkpoint& checkpoint;
  Computer& computer;
  Components& components;
  Console& console;
  Ranks& ranks;
  Life& life;
  const std::atomic<int>& stop_signal;
  bool is_batch = false;
  Resident resident{};  // what stays while the videos are made

  // Runs a piece of one video's work. In a batch an error that is this video's own (its input, its
  // numbers, its output) becomes ItemFailed on every process; a piece must not wait for other
  // processes after such an error could have come to one alone. Else it throws what the piece does.
  void together(const std::function<void()>& piece) const;
  Monitor monitor() const {
    return {.on_progress =
                [this](const Progress& now) {
                  life.show(now);
                  console.progress(now);
                },
            .on_notice = [this](const std::string& text) { console.warn(text); },
            .stop_signal = &stop_signal};
  }
  // What this process needs of the host's memory.
  MemoryPlan host_plan(const RunPlan& plan) const {
    return with_resident(plan_host_memory(plan, checkpoint, ranks.mesh()), resident);
  }
  void say(const std::vector<std::string>& notices) const {
    for (const std::string& text : notices) console.warn_once(text);
  }
};

}  // namespace cogvx::app
