#pragma once

#include <atomic>
#include <string>
#include <vector>

namespace cogvx::app {

// Set for each process that the supervisor starts.
inline constexpr char kMeetingVariable[] = "COGVX_MEETING_FILE";
inline constexpr char kRankVariable[] = "COGVX_RANK";
inline constexpr char kWorldVariable[] = "COGVX_WORLD_SIZE";

// Runs this program as `world` processes on this machine and waits until the last is gone. Rank 0
// has our standard streams, the others only their last lines of standard error, shown where one
// fails. Signals are passed on; a second one, and the end of this process however it comes, end
// them at once. Returns the exit code: that of the rank that failed first, 7 for one that a signal
// killed.
int supervise(const std::vector<std::string>& arguments, int world,
              const std::atomic<int>& stop_signal);

}  // namespace cogvx::app
