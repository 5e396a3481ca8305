#include "core/base/memory.h"

#include <malloc.h>

#include <fstream>
#include <string>

namespace cogvx {

int64_t peak_resident_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stoll(line.substr(6)) * 1024;
  }
  return 0;
}

bool reset_peak_resident() {
  std::ofstream clear("/proc/self/clear_refs");
  clear << "5" << std::flush;
  return clear.good();
}

namespace {
constexpr int kLoadingThreshold = 1 << 20;
constexpr int kWorkingThreshold = 32 << 20;  // glibc's largest
}  // namespace

LoadingAllocations::LoadingAllocations() { mallopt(M_MMAP_THRESHOLD, kLoadingThreshold); }

LoadingAllocations::~LoadingAllocations() { mallopt(M_MMAP_THRESHOLD, kWorkingThreshold); }

void release_free_memory() { malloc_trim(0); }

}  // namespace cogvx
