#pragma once

#include <atomic>

#include "app/console.h"
#include "app/options.h"

namespace cogvx::app {

// One video from options to files; prints its path or its JSON on standard output. Throws what the
// libraries throw.
void generate(const Options& options, Console& console, const std::atomic<int>& stop_signal);

}  // namespace cogvx::app
