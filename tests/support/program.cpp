#include "tests/support/program.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <thread>

#include "tests/support/test_paths.h"

namespace cogvx::test {
namespace {

// A running cogvx-gen whose three streams are files of a temporary folder.
class Process {
 public:
  Process(const std::vector<std::string>& arguments, const std::string& input) {
    std::ofstream(folder_ / "in") << input;
    std::vector<std::string> words = {(build_dir() / "app" / "cogvx-gen").string()};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, (folder_ / "in").c_str(), O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, (folder_ / "out").c_str(), O_WRONLY | O_CREAT,
                                     0644);
    posix_spawn_file_actions_addopen(&files, 2, (folder_ / "err").c_str(), O_WRONLY | O_CREAT,
                                     0644);
    const int error = posix_spawn(&pid_, argv[0], &files, nullptr, argv.data(), environ);
    posix_spawn_file_actions_destroy(&files);
    if (error != 0) throw std::runtime_error("cannot start " + words[0]);
  }

  std::string err() const { return read_file(folder_ / "err"); }
  bool ended() const {
    siginfo_t info{};
    return waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == pid_;
  }
  void send(int signal) const { kill(pid_, signal); }
  ProgramResult wait() {
    int status = 0;
    waitpid(pid_, &status, 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
            read_file(folder_ / "out"), err()};
  }

 private:
  TemporaryFolder folder_;
  pid_t pid_ = 0;
};

}  // namespace

ProgramResult run_cogvx_gen(const std::vector<std::string>& arguments, const std::string& input) {
  return Process(arguments, input).wait();
}

ProgramResult interrupt_cogvx_gen(const std::vector<std::string>& arguments,
                                  const std::string& marker, int signal) {
  Process process(arguments, "");
  while (!process.ended() && process.err().find(marker) == std::string::npos) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  process.send(signal);
  return process.wait();
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace cogvx::test
