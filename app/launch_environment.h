#pragma once

#include <functional>
#include <optional>
#include <string>

#include "parallel/rendezvous.h"

namespace cogvx::app {

// Where a launcher put this process.
struct LaunchPlace {
  int rank = 0;
  int world = 1;
  // One of the two says where the processes meet: a file that is not there yet, or an address.
  std::string meeting_file;
  Rendezvous::Address address{};
  bool launcher_listens = false;  // at the address; else rank 0 does
  std::string attempt;            // differs between a launcher's restarts
  int local_world = 1;            // processes of the run on this machine
  int local_rank = 0;             // among them
  bool supervised = false;        // by our own supervisor
  std::string interface;          // GLOO_SOCKET_IFNAME: of the network to be used; empty for any
};

// A variable's value, if it is set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

// The place that launchers tell in the environment: our own supervisor, then torchrun (RANK,
// WORLD_SIZE), Open MPI (OMPI_COMM_WORLD_*), Slurm (SLURM_*, in a step of several tasks), the first
// that speaks. Nothing where none does, or where --launcher says not to look. Throws UsageError
// naming a variable that is missing or no number.
std::optional<LaunchPlace> find_place(const Environment& environment, const std::string& launcher);

// "gpu[03-07,9],big1" -> "gpu03"
std::string first_host(const std::string& slurm_node_list);

}  // namespace cogvx::app
