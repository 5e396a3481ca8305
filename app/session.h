#pragma once

#include <atomic>

#include "app/components.h"
#include "app/console.h"
#include "app/life.h"
#include "app/ranks.h"
#include "app/resolve.h"
#include "core/pipeline/memory_plan.h"

namespace cogvx::app {

// What the videos of a run share. All of it outlives them.
struct Session {
  const Checkpoint& checkpoint;
  Computer& computer;
  Components& components;
  Console& console;
  Ranks& ranks;
  Life& life;
  const std::atomic<int>& stop_signal;

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
    return plan_memory(checkpoint, plan.request, plan.placement.threads);
  }
  void say(const std::vector<std::string>& notices) const {
    for (const std::string& text : notices) console.warn(text);
  }
};

}  // namespace cogvx::app
