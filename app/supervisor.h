#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace cogvx::app {

// Set for each process that the supervisor starts.
inline constexpr char kMeetingVariable[] = "COGVX_MEETING_FILE";
inline constexpr char kRankVariable[] = "COGVX_RANK";
inline constexpr char kWorldVariable[] = "COGVX_WORLD_SIZE";

// What to run, and when to give a process up.
struct Supervision {
  std::vector<std::string> arguments;
  int world = 1;
  std::optional<std::string> input{};  // what each process reads as its standard input
  std::string log_dir{};               // is there; empty: none
  int64_t dist_timeout = 60;           // seconds without a sign of life
};

// Runs this program as `world` processes on this machine and waits until the last is gone. Rank 0
// has our standard streams, the others only their last lines of standard error, shown where one
// fails. Signals are passed on; a second one, and the end of this process however it comes, end
// them at once. Returns the exit code: that of the rank that failed first, 7 for one that a signal
// killed or that gave no sign of life, 5 where that was the kernel for want of memory.
int supervise(const Supervision& run, const std::atomic<int>& stop_signal);

}  // namespace cogvx::app
