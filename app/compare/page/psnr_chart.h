#pragma once

#include <string>
#include <vector>

#include "app/compare/page/page_parts.h"

namespace cogvx::app {

// An inline SVG with one polyline for each TEST and one point for each frame; an identical frame
// lies on the line "identical" above all decibels.
std::string psnr_chart_svg(const std::vector<PageResult>& results);

}  // namespace cogvx::app
