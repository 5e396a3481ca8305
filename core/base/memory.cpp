#include "core/base/memory.h"

#include <malloc.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>

namespace cogvx {

namespace {

namespace fs = std::filesystem;

// A line "VmHWM:     1234 kB" of a file under /proc, in bytes; 0 where there is none.
int64_t kilobytes_line(const char* path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(key + ":")) return std::stoll(line.substr(key.size() + 1)) * 1024;
  }
  return 0;
}

// A control group's limit holds for all below it, so every folder up to the root counts.
int64_t smallest_limit(const fs::path& root, const fs::path& group, const char* file_name) {
  int64_t smallest = std::numeric_limits<int64_t>::max();
  for (fs::path below = group.relative_path();; below = below.parent_path()) {
    std::ifstream file(root / below / file_name);
    int64_t bytes = 0;
    if (file >> bytes) smallest = std::min(smallest, bytes);
    if (below.empty()) return smallest;
  }
}

// Version 2 has lines "0::/path", version 1 "4:memory:/path".
int64_t cgroup_limit() {
  int64_t smallest = std::numeric_limits<int64_t>::max();
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const size_t controllers = line.find(':') + 1;
    const size_t path = line.find(':', controllers) + 1;
    if (controllers == 0 || path == 0) continue;
    const std::string names = "," + line.substr(controllers, path - controllers - 1) + ",";
    const fs::path group = line.substr(path);
    if (names == ",,") {
      smallest = std::min(smallest, smallest_limit("/sys/fs/cgroup", group, "memory.max"));
    } else if (names.find(",memory,") != std::string::npos) {
      smallest = std::min(smallest,
                          smallest_limit("/sys/fs/cgroup/memory", group, "memory.limit_in_bytes"));
    }
  }
  return smallest;
}

// INT64_MAX where there is none.
int64_t address_limit() {
  rlimit limit{};
  const bool limited = getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
  return limited ? static_cast<int64_t>(limit.rlim_cur) : std::numeric_limits<int64_t>::max();
}

}  // namespace

MemoryLimit memory_limit() {
  MemoryLimit limit{.bytes = kilobytes_line("/proc/meminfo", "MemTotal") +
                             kilobytes_line("/proc/meminfo", "SwapTotal"),
                    .name = "this machine's memory and swap"};
  if (const int64_t bytes = cgroup_limit(); bytes < limit.bytes || limit.bytes == 0)
    limit = {bytes, "the cgroup's limit"};
  if (address_limit() < limit.bytes) limit = {address_limit(), "ulimit -v", true};
  return limit;
}

int64_t idle_address_bytes() {
  return kilobytes_line("/proc/self/status", "VmSize") -
         kilobytes_line("/proc/self/status", "VmRSS");
}

bool came_near_address_limit() {
  constexpr int64_t kNear = 64 << 20;
  return kilobytes_line("/proc/self/status", "VmPeak") > address_limit() - kNear;
}

int64_t available_memory_bytes() { return kilobytes_line("/proc/meminfo", "MemAvailable"); }

int64_t peak_resident_bytes() { return kilobytes_line("/proc/self/status", "VmHWM"); }

bool reset_peak_resident() {
  std::ofstream clear("/proc/self/clear_refs");
  clear << "5" << std::flush;
  return clear.good();
}

namespace {
constexpr int kLoadingThreshold = 1 << 20;
constexpr int kWorkingThreshold = static_cast<int>(kMappedBlockBytes);
// Free memory at the heap's end that stays for the next block, instead of a trip to the kernel for
// each.
constexpr int kKeptAtEnd = 32 << 20;
// Of the process, as what mallopt sets is.
std::atomic<int> loading = 0;
}  // namespace

LoadingAllocations::LoadingAllocations() {
  ++loading;
  mallopt(M_MMAP_THRESHOLD, kLoadingThreshold);
}

bool LoadingAllocations::any() { return loading > 0; }

LoadingAllocations::~LoadingAllocations() {
  --loading;
  mallopt(M_MMAP_THRESHOLD, kWorkingThreshold);
  mallopt(M_TRIM_THRESHOLD, kKeptAtEnd);
}

void release_free_memory() { malloc_trim(0); }

}  // namespace cogvx
