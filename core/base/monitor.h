#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "core/base/errors.h"

namespace cogvx {

enum class Stage { kLoad, kEncodeText, kEncodeVideo, kDenoise, kDecode, kWrite };

inline const char* stage_name(Stage stage) {
  switch (stage) {
    case Stage::kLoad:
      return "load";
    case Stage::kEncodeText:
      return "encode_text";
    case Stage::kEncodeVideo:
      return "encode_video";
    case Stage::kDenoise:
      return "denoise";
    case Stage::kDecode:
      return "decode";
    case Stage::kWrite:
      return "write";
  }
  return "?";
}

// How far a stage is: `done` of `total` main pieces (steps, tiles, frames), and `part` (0..1) of
// the piece under way; where that is cut finer, `layer` of `layers` are done: blocks of a branch,
// chunks of a tile.
struct Progress {
  Stage stage = Stage::kLoad;
  int64_t done = 0;
  int64_t total = 0;
  double part = 0;
  int64_t layer = 0;
  int64_t layers = 0;
};

// The one way out for what a library has to say, and the one way in for "stop". Both callbacks may
// be empty.
struct Monitor {
  std::function<void(const Progress&)> on_progress;
  std::function<void(const std::string&)> on_notice;
  const std::atomic<int>* stop_signal = nullptr;  // non-zero: stop at the next safe point

  void progress(const Progress& now) const {
    if (stop_signal != nullptr && stop_signal->load(std::memory_order_relaxed) != 0) {
      throw Interrupted(std::string("stopped during ") + stage_name(now.stage));
    }
    if (on_progress) on_progress(now);
  }
  void notice(const std::string& text) const {
    if (on_notice) on_notice(text);
  }
};

}  // namespace cogvx
