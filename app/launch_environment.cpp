#include "app/launch_environment.h"

#include <unistd.h>

#include <charconv>
#include <filesystem>

#include "app/supervisor.h"
#include "core/base/errors.h"
#include "core/base/sha256.h"

namespace cogvx::app {
namespace {

constexpr int kMaxWorld = 4096;
// Below the ports that Linux gives to those who ask for any.
constexpr uint16_t kFirstPort = 15000;
constexpr uint16_t kPortCount = 15000;

// Typed access to one launcher's variables.
class Variables {
 public:
  Variables(const Environment& environment, const char* launcher)
      : environment_(environment), launcher_(launcher) {}

  bool has(const char* name) const { return environment_(name).has_value(); }
  std::string text(const char* name) const { return environment_(name).value_or(""); }
  std::string need(const char* name) const {
    if (!has(name)) fail(std::string(name) + " is not set, though other variables of its are");
    return text(name);
  }
  int number(const char* name, int least, int most) const {
    const std::string digits = need(name);
    int value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc() || end != digits.data() + digits.size() || value < least ||
        value > most) {
      fail(std::string(name) + " is '" + digits + "', wanted " + std::to_string(least) + " to " +
           std::to_string(most));
    }
    return value;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw UsageError(std::string("the environment of ") + launcher_ + ": " + what +
                     "; start the processes with it, or pass --launcher none for a run of one");
  }

  const Environment& environment_;
  const char* launcher_;
};

// The same for all processes of a job, another for every job. One of the variables must be set, or
// two jobs would meet at one place.
std::string job_name(const Variables& variables, std::initializer_list<const char*> names) {
  std::string token;
  bool known = false;
  for (const char* name : names) {
    token += variables.text(name) + "\n";
    known = known || variables.has(name);
  }
  if (!known) variables.need(*names.begin());
  return sha256_hex(token.data(), token.size());
}

// On one machine a file needs no port, so none can be taken.
std::string meeting_file_of(const std::string& job) {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() /
      ("cogvx-run-" + std::to_string(getuid()) + "-" + job.substr(0, 16));
  return (folder / "meeting").string();
}

// MASTER_ADDR and MASTER_PORT win; else `host`, and a port by the job's name.
Rendezvous::Address address_of(const Variables& variables, const std::string& host,
                               const std::string& job) {
  Rendezvous::Address address{variables.text("MASTER_ADDR"), 0};
  if (address.host.empty()) address.host = host;
  if (address.host.empty()) variables.need("MASTER_ADDR");
  address.port = variables.has("MASTER_PORT")
                     ? static_cast<uint16_t>(variables.number("MASTER_PORT", 1, 65535))
                     : static_cast<uint16_t>(
                           kFirstPort + std::stoul(job.substr(0, 8), nullptr, 16) % kPortCount);
  return address;
}

// Launchers fill machines one after another, so it follows from the rank where they do not tell.
void find_local_rank(const Variables& v, const char* name, LaunchPlace& place) {
  place.local_rank =
      v.has(name) ? v.number(name, 0, place.local_world - 1) : place.rank % place.local_world;
}

LaunchPlace of_supervisor(const Variables& v) {
  const int world = v.number(kWorldVariable, 1, kMaxWorld);
  return {.rank = v.number(kRankVariable, 0, world - 1),
          .world = world,
          .meeting_file = v.text(kMeetingVariable),
          .attempt = {},
          .local_world = world,
          .local_rank = v.number(kRankVariable, 0, world - 1),
          .supervised = true};
}

LaunchPlace of_torchrun(const Variables& v) {
  const int world = v.number("WORLD_SIZE", 1, kMaxWorld);
  LaunchPlace place{
      .rank = v.number("RANK", 0, world - 1),
      .world = world,
      .meeting_file = {},
      .attempt = v.text("TORCHELASTIC_RESTART_COUNT"),
      .local_world = v.has("LOCAL_WORLD_SIZE") ? v.number("LOCAL_WORLD_SIZE", 1, world) : world};
  find_local_rank(v, "LOCAL_RANK", place);
  if (world == 1) return place;
  place.address = {v.need("MASTER_ADDR"), static_cast<uint16_t>(v.number("MASTER_PORT", 1, 65535))};
  place.launcher_listens = v.text("TORCHELASTIC_USE_AGENT_STORE") == "True";
  return place;
}

LaunchPlace of_open_mpi(const Variables& v) {
  const int world = v.number("OMPI_COMM_WORLD_SIZE", 1, kMaxWorld);
  LaunchPlace place{.rank = v.number("OMPI_COMM_WORLD_RANK", 0, world - 1),
                    .world = world,
                    .meeting_file = {},
                    .attempt = {},
                    .local_world = v.number("OMPI_COMM_WORLD_LOCAL_SIZE", 1, world)};
  const std::string job =
      job_name(v, {"PMIX_NAMESPACE", "OMPI_MCA_orte_hnp_uri", "OMPI_MCA_ess_base_jobid",
                   "PMIX_SERVER_URI2", "PMIX_SERVER_URI41"});
  find_local_rank(v, "OMPI_COMM_WORLD_LOCAL_RANK", place);
  if (place.local_world == world) {
    place.meeting_file = meeting_file_of(job);
  } else {
    place.address = address_of(v, /*host=*/"", job);
  }
  return place;
}

LaunchPlace of_slurm(const Variables& v) {
  const int world = v.number("SLURM_STEP_NUM_TASKS", 2, kMaxWorld);
  const int nodes = v.has("SLURM_STEP_NUM_NODES") ? v.number("SLURM_STEP_NUM_NODES", 1, world) : 1;
  LaunchPlace place{.rank = v.number("SLURM_PROCID", 0, world - 1),
                    .world = world,
                    .meeting_file = {},
                    .attempt = {},
                    .local_world = (world + nodes - 1) / nodes};
  const std::string job = job_name(v, {"SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_RESTART_COUNT",
                                       "SLURM_SRUN_COMM_HOST", "SLURM_SRUN_COMM_PORT"});
  find_local_rank(v, "SLURM_LOCALID", place);
  if (nodes == 1) {
    place.meeting_file = meeting_file_of(job);
  } else {
    place.address = address_of(v, first_host(v.text("SLURM_STEP_NODELIST")), job);
  }
  return place;
}

}  // namespace

std::optional<LaunchPlace> find_place(const Environment& environment, const std::string& launcher) {
  const auto set = [&](const char* name) { return environment(name).has_value(); };
  if (set(kMeetingVariable)) return of_supervisor({environment, "cogvx-gen"});
  if (launcher == "spawn" || launcher == "none") return std::nullopt;
  const bool open_mpi = set("OMPI_COMM_WORLD_RANK") || set("OMPI_COMM_WORLD_SIZE");
  // An allocation sets most of the variables, for programs that srun did not start too.
  const std::string tasks = environment("SLURM_STEP_NUM_TASKS").value_or("");
  const bool slurm = !tasks.empty() && tasks != "1";
  std::optional<LaunchPlace> place;
  // Batch scripts like to set WORLD_SIZE for programs that srun or mpirun then start.
  if (set("RANK") || (set("WORLD_SIZE") && !open_mpi && !slurm)) {
    place = of_torchrun({environment, "torchrun"});
  } else if (open_mpi) {
    place = of_open_mpi({environment, "Open MPI"});
  } else if (slurm) {
    place = of_slurm({environment, "Slurm"});
  } else if (launcher == "env") {
    throw UsageError(
        "--launcher env: no variables of torchrun (RANK, WORLD_SIZE), Open MPI or Slurm are set; "
        "start it with one of them, or leave --launcher out");
  }
  if (place) place->interface = environment("GLOO_SOCKET_IFNAME").value_or("");
  return place;
}

std::string first_host(const std::string& slurm_node_list) {
  std::string host;
  size_t at = 0;
  while (at < slurm_node_list.size() && slurm_node_list[at] != ',') {
    if (slurm_node_list[at] != '[') {
      host += slurm_node_list[at++];
      continue;
    }
    // The first number of each pair of brackets.
    const size_t stop = slurm_node_list.find_first_of("-,]", at + 1);
    host += slurm_node_list.substr(at + 1, stop - at - 1);
    const size_t close = slurm_node_list.find(']', at);
    at = close == std::string::npos ? slurm_node_list.size() : close + 1;
  }
  return host;
}

}  // namespace cogvx::app
