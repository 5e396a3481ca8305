#pragma once

#include <cstdint>
#include <string>

namespace cogvx {

// Highest resident size of this process so far, in bytes (VmHWM); 0 where the kernel does not tell.
int64_t peak_resident_bytes();
// Starts VmHWM anew, so that each stage has its own peak; returns false where the kernel forbids
// it.
bool reset_peak_resident();
// What this process can have at most.
struct MemoryLimit {
  int64_t bytes = 0;
  std::string name;  // "ulimit -v", "the cgroup's limit", "this machine's memory and swap"
  bool counts_addresses = false;  // and not resident bytes
};
// The smallest of them that is not larger than any process could use.
MemoryLimit memory_limit();
// Addresses this process has beyond its resident memory; they count for `ulimit -v`.
int64_t idle_address_bytes();
// Whether this process once had nearly as many addresses as `ulimit -v` grants; a library that
// failed then and does not say why most likely got no memory.
bool came_near_address_limit();
// What the kernel thinks can be had now without swapping; 0 where it does not tell.
int64_t available_memory_bytes();

// While nothing is loaded, larger blocks are mapped each on its own; smaller ones come from the
// heap.
inline constexpr int64_t kMappedBlockBytes = int64_t{8} << 20;

// While one lives, every block of a megabyte or more is mapped on its own: weights loaded so leave
// no holes in the heap between them and the temporaries of their conversion. From then on blocks of
// 8 MB are: large activations leave no holes either, and small ones are reused quickly on the heap.
class LoadingAllocations {
 public:
  LoadingAllocations();
  ~LoadingAllocations();
  // Whether one lives, in any thread.
  static bool any();
  LoadingAllocations(const LoadingAllocations&) = delete;
  LoadingAllocations& operator=(const LoadingAllocations&) = delete;
};
// Gives freed heap memory back to the system, so that a stage's peak does not carry over.
void release_free_memory();

}  // namespace cogvx
