#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <set>
#include <string>

#include "app/options.h"
#include "core/base/monitor.h"

// spdlog stays in console.cpp: PyTorch ships an fmt of its own, and the two must not meet in one
// file.
namespace spdlog {
class logger;
}

namespace cogvx::app {

// Everything that goes to standard error: messages and progress, which share the terminal's last
// line.
class Console {
 public:
  // Only rank 0 of a run speaks, beyond errors.
  enum class Voice { kFull, kErrorsOnly };
  // `rank_log`: a file for all that this process has to say; empty for none. Throws OutputError.
  explicit Console(const Options& options, Voice voice = Voice::kFull,
                   const std::string& rank_log = "");
  ~Console() { end_line(); }
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;

  void info(const std::string& text);
  void warn(const std::string& text);
  void error(const std::string& text);
  // What is said once is not said again.
  void warn_once(const std::string& text);
  void progress(const Progress& now);
  // From here on messages and progress are about this one of so many videos; 0: about none.
  void begin_video(int64_t number, int64_t videos);
  // Ends a progress bar that stands on the terminal's last line.
  void end_line();

 private:
  enum class Style { kBar, kPlain, kJson, kNone };
  using Clock = std::chrono::steady_clock;

  void draw_bar(const Progress& now, const std::string& text);
  std::string describe(const Progress& now) const;

  std::shared_ptr<spdlog::logger> logger_;
  Style style_;
  std::atomic<bool> bar_open_ = false;
  std::set<std::string> said_;
  int64_t video_ = 0;
  int64_t videos_ = 0;
  std::string prefix_;  // "[3/20] "
  Stage stage_ = Stage::kLoad;
  bool started_ = false;
  int64_t first_done_ = 0;
  int64_t last_done_ = -1;
  Clock::time_point stage_start_;
  Clock::time_point last_shown_;
};

}  // namespace cogvx::app
