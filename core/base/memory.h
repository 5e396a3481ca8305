#pragma once

#include <cstdint>

namespace cogvx {

// Highest resident size of this process so far, in bytes (VmHWM); 0 where the kernel does not tell.
int64_t peak_resident_bytes();
// Starts VmHWM anew, so that each stage has its own peak; returns false where the kernel forbids
// it.
bool reset_peak_resident();
// While one lives, every block of a megabyte or more is mapped on its own: weights loaded so leave
// no holes in the heap between them and the temporaries of their conversion. From then on blocks of
// 8 MB are: large activations leave no holes either, and small ones are reused quickly on the heap.
class LoadingAllocations {
 public:
  LoadingAllocations();
  ~LoadingAllocations();
  LoadingAllocations(const LoadingAllocations&) = delete;
  LoadingAllocations& operator=(const LoadingAllocations&) = delete;
};
// Gives freed heap memory back to the system, so that a stage's peak does not carry over.
void release_free_memory();

}  // namespace cogvx
