#include "app/oom_kills.h"

#include <fstream>
#include <optional>
#include <string>
#include <utility>

namespace cogvx::app {
namespace {

namespace fs = std::filesystem;

// Nothing where the file cannot be read or does not count.
std::optional<int64_t> kills_in(const fs::path& counter) {
  std::ifstream file(counter);
  std::string key;
  for (int64_t value = 0; file >> key >> value;) {
    if (key == "oom_kill") return value;
  }
  return std::nullopt;
}

int64_t total(const std::vector<fs::path>& counters) {
  int64_t sum = 0;
  for (const fs::path& counter : counters) sum += kills_in(counter).value_or(0);
  return sum;
}

// Version 2 has lines "0::/path", version 1 "4:memory:/path"; in a container the path may be
// another's, and then the root is ours.
std::vector<fs::path> counters_of_this_group() {
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const size_t controllers = line.find(':') + 1;
    const size_t path = line.find(':', controllers) + 1;
    if (controllers == 0 || path == 0) continue;
    const std::string names = "," + line.substr(controllers, path - controllers - 1) + ",";
    const bool second = names == ",,";
    if (!second && names.find(",memory,") == std::string::npos) continue;
    const fs::path root = second ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory";
    const char* name = second ? "memory.events" : "memory.oom_control";
    for (const fs::path& folder : {root / fs::path(line.substr(path)).relative_path(), root}) {
      if (kills_in(folder / name)) return {folder / name};
    }
  }
  return {"/proc/vmstat"};
}

}  // namespace

OomKills::OomKills() : OomKills(counters_of_this_group()) {}

OomKills::OomKills(std::vector<fs::path> counters)
    : counters_(std::move(counters)), before_(total(counters_)) {}

bool OomKills::struck() const { return total(counters_) > before_; }

}  // namespace cogvx::app
