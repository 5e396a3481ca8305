#include "app/supervisor.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <optional>

#include "app/life.h"
#include "app/oom_kills.h"
#include "app/position_text.h"
#include "app/rank_process.h"
#include "app/standard_streams.h"
#include "core/base/errors.h"
#include "io/atomic_file.h"
#include "parallel/silence_watch.h"

namespace cogvx::app {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

// How long the others may take to end by themselves once one has failed.
constexpr std::chrono::seconds kGrace{5};
// The rank that a failure began in may be reaped after those that it took along.
constexpr std::chrono::milliseconds kGathering{500};
constexpr std::chrono::milliseconds kInterval{20};
constexpr int kOutOfMemory = 5;
constexpr int kDistributedFailure = 7;

// A folder for what the processes need to find each other.
class MeetingFolder {
 public:
  MeetingFolder() {
    std::string pattern = (fs::temp_directory_path() / "cogvx-run-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) {
      throw OutputError(pattern + ": cannot make a folder for the processes to meet in: " +
                        std::strerror(errno) + "; set TMPDIR to one that can be written");
    }
    path_ = pattern;
  }
  ~MeetingFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  MeetingFolder(const MeetingFolder&) = delete;
  MeetingFolder& operator=(const MeetingFolder&) = delete;
  std::string file(const char* name) const { return (path_ / name).string(); }

 private:
  fs::path path_;
};

// Ends what is left after a failure or a second signal.
class Ending {
 public:
  void begin() {
    if (since_) return;
    since_ = Clock::now();
    gathering_ = true;
  }
  void advance(std::vector<RankProcess>& ranks) {
    if (!since_) return;
    const auto waited = Clock::now() - *since_;
    if (gathering_ && waited > kGathering) {
      gathering_ = false;
      for (RankProcess& rank : ranks) rank.send(SIGTERM);
    }
    if (waited > kGrace) {
      for (RankProcess& rank : ranks) rank.send(SIGKILL);
    }
  }

 private:
  std::optional<Clock::time_point> since_;
  bool gathering_ = false;
};

bool ended_as_told(const RankProcess& rank) {
  return rank.signal() != 0 ? rank.signal() == SIGTERM || rank.signal() == SIGKILL
                            : rank.exit_code() == 128 + SIGTERM;
}

// The processes of one run, from the first to the end of the last.
class Run {
 public:
  Run(const Supervision& run, const MeetingFolder& folder)
      : timeout_(run.dist_timeout),
        board_(life_file(folder.file("meeting")), run.world),
        watch_(std::chrono::seconds(run.dist_timeout), {}) {
    RankProcess::Start start{.arguments = run.arguments,
                             .world = run.world,
                             .meeting_file = folder.file("meeting"),
                             .input_file = {},
                             .log_dir = run.log_dir};
    if (run.input) {
      start.input_file = folder.file("input");
      io::write_text_file(start.input_file, *run.input);
    }
    for (int rank = 0; rank < run.world; ++rank) ranks_.emplace_back(rank, start);
  }

  int wait(const std::atomic<int>& stop_signal) {
    while (!all_ended()) {
      read_pipes(kInterval);
      reap();
      if (stop_signal.load() != 0 && !passed_on_) {
        for (RankProcess& rank : ranks_) rank.send(stop_signal.load());
        passed_on_ = true;
      }
      end_silent();
      if (!passed_on_ && std::any_of(ranks_.begin(), ranks_.end(),
                                     [](const RankProcess& rank) { return rank.failed(); }))
        ending_.begin();
      ending_.advance(ranks_);
    }
    while (read_pipes({})) {
    }
    return passed_on_ ? 128 + stop_signal.load() : verdict();
  }

 private:
  bool all_ended() const {
    return std::all_of(ranks_.begin(), ranks_.end(),
                       [](const RankProcess& rank) { return rank.ended(); });
  }

  // False where nothing came within `patience`.
  bool read_pipes(std::chrono::milliseconds patience) {
    std::vector<pollfd> pipes;
    for (const RankProcess& rank : ranks_) pipes.push_back({rank.error_pipe(), POLLIN, 0});
    if (poll(pipes.data(), pipes.size(), static_cast<int>(patience.count())) <= 0) return false;
    for (size_t i = 0; i < ranks_.size(); ++i) {
      if (pipes[i].revents != 0) ranks_[i].read_pipe();
    }
    return true;
  }

  void reap() {
    for (RankProcess& rank : ranks_) {
      rank.reap();
      if (rank.ended()) board_.leave(rank.rank());
    }
  }

  // SIGKILL reaches one that is stopped, too. The others then notice that it is gone.
  void end_silent() {
    const std::optional<int> missed = watch_.look(board_, Clock::now());
    if (!missed) return;
    ranks_[*missed].send(SIGKILL);
    ending_.begin();
    if (!silent_) silent_ = *missed;
  }

  // The one that was silent, else one that a signal killed and not we, else one that failed by
  // itself, else any: the others only noticed.
  const RankProcess& first_cause() const {
    const auto weight = [&](const RankProcess& rank) {
      if (rank.rank() == silent_) return 5;
      if (!rank.failed()) return 0;
      // A process that crashed long writes its core file, and is told while it does.
      if (rank.was_told_to_end() && ended_as_told(rank)) return 1;
      if (rank.signal() != 0) return 4;
      return rank.exit_code() == kDistributedFailure ? 2 : 3;
    };
    return *std::max_element(
        ranks_.begin(), ranks_.end(),
        [&](const RankProcess& a, const RankProcess& b) { return weight(a) < weight(b); });
  }

  int verdict() const {
    const RankProcess& cause = first_cause();
    if (!cause.failed()) return 0;
    const bool out_of_memory = cause.signal() == SIGKILL && !silent_ && oom_kills_.struck();
    // Rank 0 has said itself what happened, unless it could not.
    if (cause.rank() > 0 || cause.signal() != 0) report(cause, out_of_memory);
    return out_of_memory         ? kOutOfMemory
           : cause.signal() != 0 ? kDistributedFailure
                                 : cause.exit_code();
  }

  void report(const RankProcess& cause, bool out_of_memory) const {
    const int world = board_.world();
    const std::optional<Progress> last = board_.position(cause.rank());
    std::string text = rank_text(cause.rank(), world);
    if (silent_) {
      text = silence_text(cause.rank(), world, timeout_, last);
    } else if (cause.signal() != 0) {
      text += (last ? ", " + position_text(*last) : "") + ": was killed by signal " +
              std::to_string(cause.signal()) + " (" + strsignal(cause.signal()) + ")";
      if (out_of_memory)
        text +=
            " by the kernel, which ran out of memory; use fewer processes, --dtype bf16, or a "
            "smaller size";
    } else {
      text += " ended with exit code " + std::to_string(cause.exit_code());
    }
    for (const std::string& line : cause.last_lines()) text += "; " + line;
    std::cerr << "cogvx-gen: error: " << one_line(text) << std::endl;
  }

  int64_t timeout_;
  OomKills oom_kills_;
  LifeBoard board_;
  SilenceWatch watch_;
  std::vector<RankProcess> ranks_;
  Ending ending_;
  std::optional<int> silent_;
  bool passed_on_ = false;
};

}  // namespace

int supervise(const Supervision& run, const std::atomic<int>& stop_signal) {
  const MeetingFolder folder;
  return Run(run, folder).wait(stop_signal);
}

}  // namespace cogvx::app
