#include "tests/support/program.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <thread>

namespace cogvx::test {

namespace fs = std::filesystem;

Flags with(Flags flags, const Flags& more) {
  flags.insert(flags.end(), more.begin(), more.end());
  return flags;
}

Program::Program(const ProgramCall& call) {
  std::ofstream(folder_ / "in") << call.input;
  std::vector<std::string> words = {(build_dir() / "app" / call.program).string()};
  words.insert(words.end(), call.arguments.begin(), call.arguments.end());
  if (!call.shell.empty()) words.insert(words.begin(), {"/bin/sh", "-c", call.shell, "sh"});
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, (folder_ / "in").c_str(), O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, 1, (folder_ / "out").c_str(), O_WRONLY | O_CREAT, 0644);
  posix_spawn_file_actions_addopen(&files, 2, (folder_ / "err").c_str(), O_WRONLY | O_CREAT, 0644);
  const int error = posix_spawn(&pid_, argv[0], &files, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  if (error != 0) throw std::runtime_error("cannot start " + words[0]);
}

std::string Program::err() const { return read_file(folder_ / "err"); }

bool Program::ended() const {
  siginfo_t info{};
  return waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == pid_;
}

bool Program::wait_for(const std::string& text) const {
  while (true) {
    const bool over = ended();
    if (err().find(text) != std::string::npos) return true;
    if (over) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

void Program::send(int signal) const { kill(pid_, signal); }

ProgramResult Program::wait() {
  int status = 0;
  waitpid(pid_, &status, 0);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
          read_file(folder_ / "out"), err()};
}

ProgramResult run_cogvx_gen(const ProgramCall& call) { return Program(call).wait(); }

ProgramResult run_cogvx_gen(const std::vector<std::string>& arguments, const std::string& input) {
  return Program({.arguments = arguments, .input = input}).wait();
}

ProgramResult run_and_act(const ProgramCall& call, const std::string& marker,
                          const std::function<void(const Program&)>& act) {
  Program program(call);
  if (program.wait_for(marker)) act(program);
  return program.wait();
}

void install_program(const fs::path& folder, const std::map<std::string, fs::path>& libraries) {
  fs::create_directories(folder / "bin");
  fs::create_directories(folder / "lib");
  fs::copy_file(build_dir() / "app" / "cogvx-gen", folder / "bin" / "cogvx-gen");
  for (const auto& [name, file] : libraries) fs::create_symlink(file, folder / "lib" / name);
}

std::string in_hostile_world(const std::string& variables) {
  const std::string library =
      (build_dir() / "tests" / "app" / "libcogvx_hostile_world.so").string();
  return "ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0 LD_PRELOAD='" + library + "' " +
         variables + " exec \"$@\"";
}

std::vector<pid_t> processes_naming(const std::string& text) {
  std::vector<pid_t> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    if (read_file(entry.path() / "cmdline").find(text) == std::string::npos) continue;
    found.push_back(std::stoi(name));
  }
  return found;
}

pid_t rank_naming(const std::string& text, int rank) {
  for (const pid_t process : processes_naming(text)) {
    std::string variables = read_file("/proc/" + std::to_string(process) + "/environ");
    variables.insert(variables.begin(), '\0');
    for (const char* name : {"COGVX_RANK=", "RANK="}) {
      const std::string wanted = '\0' + (name + std::to_string(rank)) + '\0';
      if (variables.find(wanted) != std::string::npos) return process;
    }
  }
  return 0;
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string> names_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored))
    names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace cogvx::test
