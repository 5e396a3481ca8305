#pragma once

#include <atomic>

#include "app/console.h"
#include "app/life.h"
#include "app/options.h"
#include "app/ranks.h"

namespace cogvx::app {

// One video from options to files; prints its path or its JSON on standard output. Throws what the
// libraries throw. Every process of a run calls it; rank 0 writes and prints. `here`: this one
// among those of the run on this machine.
void generate(const Options& options, Console& console, const std::atomic<int>& stop_signal,
              Ranks& ranks, Life& life, const LocalPlace& here);

}  // namespace cogvx::app
