#pragma once

#include <sys/types.h>

#include <deque>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cogvx::app {

// One process of a run, started on this machine by the supervisor.
class RankProcess {
 public:
  // What all of them are started with.
  struct Start {
    std::vector<std::string> arguments;
    int world = 1;
    std::string meeting_file;
    std::string input_file;  // what each reads as its standard input; empty: rank 0 has ours
    std::string log_dir;     // empty: none
  };
  // Rank 0 has our standard streams, the others write their standard error to a pipe. Throws
  // MemoryError and OutputError.
  RankProcess(int rank, const Start& start);

  int rank() const { return rank_; }
  bool ended() const { return status_.has_value(); }
  bool failed() const { return status_ && *status_ != 0; }
  // Of one that has ended: the signal that killed it, or 0; else its exit code.
  int signal() const;
  int exit_code() const;
  // The last lines it wrote to the pipe.
  const std::deque<std::string>& last_lines() const { return last_lines_; }
  // Whether it got a signal from here before it ended.
  bool was_told_to_end() const { return told_; }

  int error_pipe() const { return error_pipe_; }  // -1: closed, or rank 0
  void read_pipe();
  // Sees whether it has ended.
  void reap();
  void send(int signal);

 private:
  void keep(std::string_view text);
  void keep_line();

  int rank_;
  pid_t pid_ = 0;
  int error_pipe_ = -1;
  std::string unfinished_line_;
  std::deque<std::string> last_lines_;
  std::ofstream log_;
  std::optional<int> status_;  // of waitpid
  bool told_ = false;
};

// "<dir>/rank-<r>.log"
std::string rank_log(const std::string& log_dir, int rank);

}  // namespace cogvx::app
