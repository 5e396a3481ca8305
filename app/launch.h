#pragma once

#include <optional>
#include <string>

#include "app/launch_environment.h"
#include "app/options.h"
#include "app/ranks.h"

namespace cogvx::app {

// By this process's environment: see find_place.
std::optional<LaunchPlace> launch_place(const std::string& launcher);

// Joins the other processes as cp x sp. Throws UsageError where the launcher started another number
// of processes, naming both, and DistributedError.
Ranks join_ranks(const LaunchPlace& place, const Options& options);

}  // namespace cogvx::app
