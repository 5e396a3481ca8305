#pragma once

#include <cstdint>
#include <vector>

#include "app/item.h"
#include "app/session.h"
#include "app/sidecar.h"
#include "core/pipeline/stages.h"

namespace cogvx::app {

// The prompts of one video, encoded; empty where it needs none.
struct ItemTexts {
  TextStates states;
  int64_t prompts = 0;  // that were encoded for it: not one that an earlier video has too
};

// What all of them need, before the first is begun: rank 0 encodes and says the notices of all
// items as soon as nothing can refuse them any more. `stages` gets the stage's report. Throws
// UsageError for a prompt that is too long where that is to be one.
std::vector<ItemTexts> encode_prompts_of(const Session& session, std::vector<Item>& items,
                                         std::vector<StageReport>& stages);

}  // namespace cogvx::app
