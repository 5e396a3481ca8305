#pragma once

#include <optional>
#include <string>

#include "app/options.h"
#include "app/ranks.h"

namespace cogvx::app {

// Where a launcher put this process.
struct LaunchPlace {
  int rank = 0;
  int world = 1;
  std::string meeting_file;       // from our own supervisor
  Rendezvous::Address address{};  // from torchrun and the like
  int local_world = 1;            // processes of the run on this machine
  bool supervised = false;        // by our own supervisor, on this machine
};

// From the environment that the supervisor or torchrun (RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT)
// sets; nothing where no launcher started this process, or --launcher says not to look. Throws
// UsageError.
std::optional<LaunchPlace> launch_place(const std::string& launcher);

// Joins the other processes as cp x sp. Throws UsageError where the launcher started another number
// of processes, naming both, and DistributedError.
Ranks join_ranks(const LaunchPlace& place, const Options& options);

}  // namespace cogvx::app
