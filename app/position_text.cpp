#include "app/position_text.h"

#include <algorithm>

namespace cogvx::app {
namespace {

std::string counted(const char* name, int64_t done, int64_t total) {
  return std::string(", ") + name + " " + std::to_string(std::min(done + 1, total)) + " of " +
         std::to_string(total);
}

}  // namespace

const char* piece_name(Stage stage) {
  switch (stage) {
    case Stage::kDenoise:
      return "step";
    case Stage::kEncodeVideo:
    case Stage::kDecode:
      return "tile";
    case Stage::kEncodeText:
      return "layer";
    case Stage::kWrite:
      return "frame";
    case Stage::kLoad:
      return "layer";
  }
  return "part";
}

std::string position_text(const Progress& now) {
  std::string text = stage_name(now.stage);
  if (now.total > 0) text += counted(piece_name(now.stage), now.done, now.total);
  if (now.layers > 0)
    text +=
        counted(now.stage == Stage::kDecode || now.stage == Stage::kEncodeVideo ? "part" : "layer",
                now.layer, now.layers);
  return text;
}

std::string rank_text(int rank, int world) {
  return "rank " + std::to_string(rank) + " of " + std::to_string(world);
}

std::string silence_text(int rank, int world, int64_t seconds,
                         const std::optional<Progress>& last) {
  return rank_text(rank, world) + " gave no sign of life for " + std::to_string(seconds) +
         " s (last seen: " + (last ? position_text(*last) : "at the start") +
         "); it was stopped, swapped out or cut off: free its machine, or raise --dist-timeout";
}

}  // namespace cogvx::app
