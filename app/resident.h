#pragma once

#include <cstdint>
#include <vector>

#include "core/pipeline/memory_plan.h"
#include "core/pipeline/request.h"
#include "core/weights/checkpoint.h"

namespace cogvx::app {

// Bytes that stay from one video of a batch to the next, beside what a stage needs itself.
struct Resident {
  int64_t texts = 0;  // encoded prompts of the videos to come
  int64_t transformer = 0;
  int64_t decoder = 0;
  int64_t encoder = 0;
};

// Of videos of these requests, whose texts lie here or elsewhere; the parts' weights where all of
// them stay.
Resident resident_texts(const std::vector<const Request*>& requests, const Checkpoint& checkpoint);
Resident resident_parts(const std::vector<const Request*>& requests, const Checkpoint& checkpoint);
Resident operator+(const Resident& a, const Resident& b);

// The plan of a stage with all that stays of the others.
MemoryPlan with_resident(MemoryPlan plan, const Resident& resident);
// Of each stage the larger need.
MemoryPlan larger(const MemoryPlan& a, const MemoryPlan& b);

}  // namespace cogvx::app
