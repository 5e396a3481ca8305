#pragma once

#include <atomic>

#include "app/options.h"

namespace cogvx::app {

// Makes the video of --verify SIDECAR again, as this command places it, where nothing stays of it,
// and says whether latents and frames have the bytes that the sidecar tells; of others how far they
// are from the video beside it. Returns the exit code: 0 the same, 10 not, else the run's own.
// Throws UsageError where more is given than where and how, and DataError.
int verify(int argc, const char* const* argv, const Options& options,
           const std::atomic<int>& stop_signal);

}  // namespace cogvx::app
