#pragma once

// The parts of the page as HTML, without pictures.

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "app/compare/video_distance.h"

namespace cogvx::app {

// What is known of how a video was made: JSON objects, or null.
struct VideoRecord {
  nlohmann::json request;
  nlohmann::json engine;
  nlohmann::json placement;
};

// A video as the page names it.
struct PageVideo {
  std::string name;  // as the user gave it; any bytes
  VideoRecord record;
};

// A TEST beside REF.
struct PageResult {
  PageVideo video;
  std::string verdict;  // one line
  VideoDistance distance;
};

bool is_same(const VideoDistance& distance);
// "TEST", or with several "TEST 1", "TEST 2", ...
std::string test_label(size_t index, size_t tests);

std::string verdicts_html(const std::vector<PageResult>& results);
// A row for each TEST.
std::string numbers_html(const std::vector<PageResult>& results);
// What each TEST is at the frame shown; the page's script fills it in.
std::string legend_html(const std::vector<PageResult>& results);
// Request, Engine and Placement of REF and each TEST beside each other; marks what is not REF's.
std::string records_html(const VideoRecord& reference, const std::vector<PageResult>& results);

}  // namespace cogvx::app
