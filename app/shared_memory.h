#pragma once

#include <vector>

#include "app/components.h"
#include "app/item.h"
#include "app/ranks.h"
#include "app/resident.h"

namespace cogvx::app {

// What the videos of a run share of this process's memory.
struct SharedMemory {
  Keeping keeping = Keeping::kOnePart;
  Resident resident{};
};
// One video alone keeps one part at a time. Several keep all of them where they fit, on the host or
// on the GPU, in every process; else each part is loaded anew for each video, and a notice says so.
// Settles each plan's offload and device_memory. Throws MemoryError where nothing fits.
SharedMemory settle_memory(std::vector<Item>& items, const Checkpoint& checkpoint, Ranks& ranks,
                           const LocalPlace& here);

}  // namespace cogvx::app
