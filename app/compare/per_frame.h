#pragma once

#include <string>
#include <vector>

#include "app/compare/report.h"

namespace cogvx::app {

// One row for each TEST and frame or latent frame, as CSV (RFC 4180, lines end in \n). Of one kind
// that has frames.
std::string per_frame_csv(const std::vector<Result>& results);

}  // namespace cogvx::app
