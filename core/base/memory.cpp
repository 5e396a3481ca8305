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
constexpr int kWorkingThreshold = 8 << 20;
// Free memory at the heap's end that stays for the next block, instead of a trip to the kernel for
// each.
constexpr int kKeptAtEnd = 32 << 20;
}  // namespace

LoadingAllocations::LoadingAllocations() { mallopt(M_MMAP_THRESHOLD, kLoadingThreshold); }

LoadingAllocations::~LoadingAllocations() {
  mallopt(M_MMAP_THRESHOLD, kWorkingThreshold);
  mallopt(M_TRIM_THRESHOLD, kKeptAtEnd);
}

void release_free_memory() { malloc_trim(0); }

}  // namespace cogvx
