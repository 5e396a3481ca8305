#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "app/doctor.h"
#include "app/engine.h"
#include "app/memory_check.h"
#include "app/memory_users.h"
#include "core/base/errors.h"
#include "core/base/memory.h"
#include "io/atomic_file.h"

namespace cogvx::app {
namespace {

namespace fs = std::filesystem;
using Level = Finding::Level;

constexpr int64_t kLittleMemory = int64_t{2} << 30;
constexpr int64_t kLittleSharedMemory = int64_t{1} << 30;
constexpr int64_t kLittleTemporary = int64_t{1} << 30;
constexpr size_t kUsersShown = 3;

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown processor";
}

Finding examine_instructions() {
  const std::string set = find_engine().instruction_set;
  const std::string text = processor_name() + ": " + set;
  if (set.find("avx2") == std::string::npos) {
    return {Level::kWarning, "CPU", text,
            "it has no AVX2, so everything is slow; use a newer machine"};
  }
  if (set.find("bf16") == std::string::npos)
    return {Level::kOk, "CPU", text + "; no bf16 instructions: --dtype fp32 is faster here"};
  return {Level::kOk, "CPU", text};
}

// Of a container: cores that all of its threads together may use; 0 for no limit.
double core_quota() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  double quota = 0, period = 0;
  return file >> quota >> period && period > 0 ? quota / period : 0;
}

Finding examine_cores() {
  const int cores = available_cores();
  const double quota = core_quota();
  const std::string text = std::to_string(cores) + " for this process";
  if (quota == 0 || quota >= cores) return {Level::kOk, "cores", text};
  const int whole = std::max(1, static_cast<int>(quota));
  return {Level::kWarning, "cores",
          text + ", but its cgroup grants the time of " + std::to_string(whole),
          "pass --threads " + std::to_string(whole) + " (over --cp x --sp processes together)"};
}

Finding examine_memory() {
  const int64_t available = available_memory_bytes();
  const std::string text = gigabytes(available) + " free, at most " +
                           gigabytes(memory_limit().bytes) + " by " + memory_limit().name +
                           "; most used: " + users_text(host_memory_users(), kUsersShown);
  if (available >= kLittleMemory || available == 0) return {Level::kOk, "memory", text};
  return {Level::kWarning, "memory", text,
          "end what is not needed; --plan says what a video needs"};
}

int64_t free_in(const fs::path& folder) {
  struct statvfs found {};
  if (statvfs(folder.c_str(), &found) != 0) return -1;
  return static_cast<int64_t>(found.f_bavail) * static_cast<int64_t>(found.f_frsize);
}

Finding examine_shared_memory() {
  const char* folder = "/dev/shm";
  const int64_t free = free_in(folder);
  if (free < 0 || access(folder, W_OK) != 0) {
    return {Level::kWarning, folder, "not there or not writable; NCCL needs it between GPUs",
            "mount a tmpfs there (docker run --shm-size=8g)"};
  }
  if (free < kLittleSharedMemory) {
    return {Level::kWarning, folder, gigabytes(free) + " free; NCCL needs about 1 GB between GPUs",
            "make it larger (docker run --shm-size=8g)"};
  }
  return {Level::kOk, folder, gigabytes(free) + " free"};
}

// Where processes of one run meet, and where latents go that have no better place.
Finding examine_temporary() {
  std::error_code error;
  const fs::path folder = fs::temp_directory_path(error);
  const std::string name = "temporary files";
  const char* cure = "set TMPDIR to a folder that can be written";
  if (error) return {Level::kProblem, name, "TMPDIR is no folder: " + error.message(), cure};
  const fs::path file = folder / ("cogvx-doctor-" + std::to_string(getpid()));
  try {
    io::write_text_file(file, "cogvx");
    fs::remove(file, error);
  } catch (const OutputError& refused) {
    return {Level::kProblem, name, refused.what(), cure};
  }
  const int64_t free = free_in(folder);
  if (free < kLittleTemporary)
    return {Level::kWarning, name, folder.string() + ": " + gigabytes(free) + " free", cure};
  return {Level::kOk, name, folder.string() + ": " + gigabytes(free) + " free"};
}

// One line for each, since each has a cure of its own.
std::vector<Finding> examine_environment() {
  std::vector<Finding> found;
  for (const auto& [name, value] : find_engine().environment) {
    found.push_back({Level::kWarning, "environment",
                     name + "=" + value + " can change the bytes of a video",
                     "unset " + name + ", unless all who compare videos set it alike"});
  }
  if (found.empty()) found.push_back({Level::kOk, "environment", "nothing set that changes bytes"});
  return found;
}

}  // namespace

std::vector<Finding> examine_machine() {
  std::vector<Finding> all = {examine_instructions(), examine_cores(), examine_memory(),
                              examine_shared_memory(), examine_temporary()};
  const std::vector<Finding> environment = examine_environment();
  all.insert(all.end(), environment.begin(), environment.end());
  return all;
}

}  // namespace cogvx::app
