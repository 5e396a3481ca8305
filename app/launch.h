#pragma once

#include <optional>
#include <string>

#include "app/launch_environment.h"
#include "app/options.h"
#include "app/ranks.h"

namespace cogvx::app {

// By this process's environment: see find_place.
std::optional<LaunchPlace> launch_place(const std::string& launcher);

// Throws UsageError where the launcher started another number of processes than cp x sp, naming
// both.
void check_world(const LaunchPlace& place, const Options& options);

// The folder of the meeting file, where there is one: all processes make it, rank 0 takes it away.
// Throws OutputError where it is not ours alone, since others may write beside it.
void make_meeting_place(const LaunchPlace& place);

// Joins the other processes as cp x sp. Throws DistributedError.
Ranks join_ranks(const LaunchPlace& place, const Options& options);

}  // namespace cogvx::app
