#pragma once

#include <atomic>

#include "app/console.h"
#include "app/life.h"
#include "app/options.h"
#include "app/ranks.h"

namespace cogvx::app {

// One video, or those of a batch, from options to files; prints their paths or their JSON on
// standard output. Returns the exit code: kBatchFailures where some of a batch failed. Throws what
// the libraries throw. Every process of a run calls it; rank 0 writes and prints. `here`: this one
// among those of the run on this machine.
int generate(const Options& options, Console& console, const std::atomic<int>& stop_signal,
             Ranks& ranks, Life& life, const LocalPlace& here);

}  // namespace cogvx::app
