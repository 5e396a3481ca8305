#include "app/supervisor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <deque>
#include <filesystem>
#include <iostream>
#include <optional>
#include <utility>

#include "app/standard_streams.h"
#include "core/base/errors.h"

namespace cogvx::app {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

// How long the others may take to end by themselves once one has failed.
constexpr std::chrono::seconds kGrace{5};
// The rank that a failure began in may be reaped after those that it took along.
constexpr std::chrono::milliseconds kGathering{500};
constexpr std::chrono::milliseconds kInterval{20};
constexpr size_t kLinesShown = 3;
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
  std::string file() const { return (path_ / "meeting").string(); }

 private:
  fs::path path_;
};

struct Child {
  int rank = 0;
  pid_t pid = 0;
  int error_pipe = -1;  // its standard error; -1 for rank 0
  std::string unfinished_line{};
  std::deque<std::string> last_lines{};
  std::optional<int> status{};  // of waitpid, once it has ended
};

// In the new process; only calls that are safe after fork.
[[noreturn]] void become_rank(int rank, const std::vector<char*>& argv,
                              const std::vector<char*>& environment, int error_pipe, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(kDistributedFailure);
  // A terminal's Ctrl-C goes to us alone, and from us once to each.
  setpgid(0, 0);
  if (rank > 0) {
    const int nothing = open("/dev/null", O_RDWR);
    dup2(nothing, STDIN_FILENO);
    dup2(nothing, STDOUT_FILENO);
    dup2(error_pipe, STDERR_FILENO);
  }
  execve("/proc/self/exe", argv.data(), environment.data());
  _exit(kDistributedFailure);
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> all;
  for (std::string& text : texts) all.push_back(text.data());
  all.push_back(nullptr);
  return all;
}

Child start_rank(int rank, int world, std::vector<std::string> arguments,
                 const std::string& meeting) {
  std::vector<std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) variables.push_back(*entry);
  variables.push_back(std::string(kMeetingVariable) + "=" + meeting);
  variables.push_back(std::string(kRankVariable) + "=" + std::to_string(rank));
  variables.push_back(std::string(kWorldVariable) + "=" + std::to_string(world));
  const std::vector<char*> argv = pointers(arguments), environment = pointers(variables);
  int pipe_ends[2] = {-1, -1};
  if (rank > 0 && pipe2(pipe_ends, O_CLOEXEC) != 0)
    throw MemoryError(std::string("no pipe for another process: ") + std::strerror(errno));
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) {
    throw MemoryError("cannot start process " + std::to_string(rank) + " of " +
                      std::to_string(world) + ": " + std::strerror(errno));
  }
  if (pid == 0) become_rank(rank, argv, environment, pipe_ends[1], parent);
  if (rank > 0) close(pipe_ends[1]);
  return {.rank = rank, .pid = pid, .error_pipe = pipe_ends[0]};
}

void keep_lines(Child& child, std::string_view text) {
  for (const char letter : text) {
    if (letter != '\n') {
      child.unfinished_line += letter;
      continue;
    }
    child.last_lines.push_back(std::exchange(child.unfinished_line, {}));
    if (child.last_lines.size() > kLinesShown) child.last_lines.pop_front();
  }
}

void read_errors(std::vector<Child>& children) {
  std::vector<pollfd> pipes;
  for (const Child& child : children) pipes.push_back({child.error_pipe, POLLIN, 0});
  if (poll(pipes.data(), pipes.size(), static_cast<int>(kInterval.count())) <= 0) return;
  for (size_t i = 0; i < children.size(); ++i) {
    if (pipes[i].revents == 0) continue;
    char block[4096];
    const ssize_t got = read(children[i].error_pipe, block, sizeof block);
    if (got > 0) {
      keep_lines(children[i], {block, static_cast<size_t>(got)});
    } else if (got == 0) {
      close(std::exchange(children[i].error_pipe, -1));
    }
  }
}

void reap(std::vector<Child>& children) {
  for (Child& child : children) {
    int status = 0;
    if (!child.status && waitpid(child.pid, &status, WNOHANG) == child.pid) child.status = status;
  }
}

bool all_ended(const std::vector<Child>& children) {
  return std::all_of(children.begin(), children.end(),
                     [](const Child& child) { return child.status.has_value(); });
}

bool failed(const Child& child) { return child.status && *child.status != 0; }

void send(const std::vector<Child>& children, int signal) {
  for (const Child& child : children) {
    if (!child.status) kill(child.pid, signal);
  }
}

int exit_code_of(const Child& child) {
  return WIFEXITED(*child.status) ? WEXITSTATUS(*child.status) : kDistributedFailure;
}

// One that a signal killed, else one that failed by itself, else any: the others only noticed.
const Child& first_cause(const std::vector<Child>& children) {
  const auto weight = [](const Child& child) {
    if (!failed(child)) return 0;
    if (!WIFEXITED(*child.status)) return 3;
    return WEXITSTATUS(*child.status) == kDistributedFailure ? 1 : 2;
  };
  return *std::max_element(children.begin(), children.end(),
                           [&](const Child& a, const Child& b) { return weight(a) < weight(b); });
}

void report(const Child& child, size_t world) {
  std::string text = "rank " + std::to_string(child.rank) + " of " + std::to_string(world);
  if (WIFSIGNALED(*child.status)) {
    const int signal = WTERMSIG(*child.status);
    text += " was killed by signal " + std::to_string(signal) + " (" + strsignal(signal) + ")";
  } else {
    text += " ended with exit code " + std::to_string(WEXITSTATUS(*child.status));
  }
  for (const std::string& line : child.last_lines) text += "; " + line;
  std::cerr << "cogvx-gen: error: " << one_line(text) << std::endl;
}

// Ends what is left after a failure or a second signal.
class Ending {
 public:
  void begin() {
    if (since_) return;
    since_ = Clock::now();
    gathering_ = true;
  }
  void advance(const std::vector<Child>& children) {
    if (!since_) return;
    const auto waited = Clock::now() - *since_;
    if (gathering_ && waited > kGathering) {
      gathering_ = false;
      send(children, SIGTERM);
    }
    if (waited > kGrace) send(children, SIGKILL);
  }

 private:
  std::optional<Clock::time_point> since_;
  bool gathering_ = false;
};

}  // namespace

int supervise(const std::vector<std::string>& arguments, int world,
              const std::atomic<int>& stop_signal) {
  const MeetingFolder folder;
  std::vector<Child> children;
  for (int rank = 0; rank < world; ++rank)
    children.push_back(start_rank(rank, world, arguments, folder.file()));
  Ending ending;
  bool passed_on = false;
  while (!all_ended(children)) {
    read_errors(children);
    reap(children);
    if (stop_signal.load() != 0 && !passed_on) {
      send(children, stop_signal.load());
      passed_on = true;
    }
    if (!passed_on && std::any_of(children.begin(), children.end(), failed)) ending.begin();
    ending.advance(children);
  }
  if (passed_on) return 128 + stop_signal.load();
  const Child& cause = first_cause(children);
  if (!failed(cause)) return 0;
  // Rank 0 has said itself what happened, unless it could not.
  if (cause.rank > 0 || WIFSIGNALED(*cause.status)) report(cause, children.size());
  return exit_code_of(cause);
}

}  // namespace cogvx::app
