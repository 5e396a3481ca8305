#include "app/rank_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <utility>

#include "app/supervisor.h"
#include "core/base/errors.h"

namespace cogvx::app {
namespace {

constexpr size_t kLinesShown = 3;
constexpr int kDistributedFailure = 7;
// Our own lines, which the process itself puts into its log.
constexpr std::string_view kOwnLine = "cogvx-gen: ";

// In the new process; only calls that are safe after fork.
[[noreturn]] void become_rank(const std::vector<char*>& argv, const std::vector<char*>& environment,
                              int input, int error_pipe, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(kDistributedFailure);
  // A terminal's Ctrl-C goes to us alone, and from us once to each.
  setpgid(0, 0);
  if (error_pipe >= 0) {
    const int nothing = open("/dev/null", O_RDWR);
    dup2(nothing, STDIN_FILENO);
    dup2(nothing, STDOUT_FILENO);
    dup2(error_pipe, STDERR_FILENO);
  }
  if (input >= 0) dup2(input, STDIN_FILENO);
  execve("/proc/self/exe", argv.data(), environment.data());
  _exit(kDistributedFailure);
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> all;
  for (std::string& text : texts) all.push_back(text.data());
  all.push_back(nullptr);
  return all;
}

std::vector<std::string> variables_for(int rank, const RankProcess::Start& start) {
  std::vector<std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) variables.push_back(*entry);
  variables.push_back(std::string(kMeetingVariable) + "=" + start.meeting_file);
  variables.push_back(std::string(kRankVariable) + "=" + std::to_string(rank));
  variables.push_back(std::string(kWorldVariable) + "=" + std::to_string(start.world));
  return variables;
}

// Each process its own, as its place in the file is its own. -1 where there is none.
int open_input(const std::string& path) {
  if (path.empty()) return -1;
  const int input = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (input < 0) throw OutputError(path + ": cannot be read again: " + std::strerror(errno));
  return input;
}

}  // namespace

std::string rank_log(const std::string& log_dir, int rank) {
  return (std::filesystem::path(log_dir) / ("rank-" + std::to_string(rank) + ".log")).string();
}

RankProcess::RankProcess(int rank, const Start& start) : rank_(rank) {
  if (!start.log_dir.empty() && rank > 0)
    log_.open(rank_log(start.log_dir, rank), std::ios::binary | std::ios::app);
  std::vector<std::string> arguments = start.arguments, variables = variables_for(rank, start);
  const std::vector<char*> argv = pointers(arguments), environment = pointers(variables);
  const int input = open_input(start.input_file);
  int pipe_ends[2] = {-1, -1};
  if (rank > 0 && pipe2(pipe_ends, O_CLOEXEC) != 0)
    throw MemoryError(std::string("no pipe for another process: ") + std::strerror(errno));
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ < 0) {
    throw MemoryError("cannot start process " + std::to_string(rank) + " of " +
                      std::to_string(start.world) + ": " + std::strerror(errno));
  }
  if (pid_ == 0) become_rank(argv, environment, input, pipe_ends[1], parent);
  if (input >= 0) close(input);
  if (rank > 0) close(pipe_ends[1]);
  error_pipe_ = pipe_ends[0];
}

int RankProcess::signal() const { return WIFSIGNALED(*status_) ? WTERMSIG(*status_) : 0; }

int RankProcess::exit_code() const { return WEXITSTATUS(*status_); }

void RankProcess::read_pipe() {
  char block[4096];
  const ssize_t got = read(error_pipe_, block, sizeof block);
  if (got > 0) return keep({block, static_cast<size_t>(got)});
  if (got < 0) return;
  if (!unfinished_line_.empty()) keep_line();
  close(std::exchange(error_pipe_, -1));
}

void RankProcess::keep(std::string_view text) {
  for (const char letter : text) {
    if (letter == '\n') {
      keep_line();
    } else {
      unfinished_line_ += letter;
    }
  }
}

void RankProcess::keep_line() {
  if (log_.is_open() && !unfinished_line_.starts_with(kOwnLine))
    log_ << unfinished_line_ << std::endl;
  last_lines_.push_back(std::exchange(unfinished_line_, {}));
  if (last_lines_.size() > kLinesShown) last_lines_.pop_front();
}

void RankProcess::reap() {
  int status = 0;
  if (!status_ && waitpid(pid_, &status, WNOHANG) == pid_) status_ = status;
}

void RankProcess::send(int signal) {
  if (status_) return;
  told_ = true;
  kill(pid_, signal);
}

}  // namespace cogvx::app
