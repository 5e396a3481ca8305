#pragma once

#include <optional>
#include <string>

#include "core/base/monitor.h"

namespace cogvx::app {

// What a stage's main pieces are called: "step", "tile".
const char* piece_name(Stage stage);

// "denoise, step 3 of 50, layer 12 of 30"
std::string position_text(const Progress& now);

// "rank 2 of 4"
std::string rank_text(int rank, int world);

// What is said of a process that gave no sign of life for `seconds`.
std::string silence_text(int rank, int world, int64_t seconds, const std::optional<Progress>& last);

}  // namespace cogvx::app
