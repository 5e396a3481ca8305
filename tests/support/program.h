#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tests/support/test_paths.h"

namespace cogvx::test {

using Flags = std::vector<std::string>;
// The first with the others after them.
Flags with(Flags flags, const Flags& more);

struct ProgramResult {
  int exit_code = -1;  // 128 + signal where one ended it
  std::string out;
  std::string err;
};

// How cogvx-gen, or another program of this build, is started.
struct ProgramCall {
  std::vector<std::string> arguments;
  std::string input{};  // its standard input
  // A line of sh that ends in running "$@", to close streams, set limits or variables before.
  std::string shell{};
  std::string program = "cogvx-gen";
};

// A running cogvx-gen whose three streams are files of a temporary folder.
class Program {
 public:
  explicit Program(const ProgramCall& call);
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  std::string err() const;
  bool ended() const;
  // Waits until `text` stands in its standard error; false where it ended without.
  bool wait_for(const std::string& text) const;
  void send(int signal) const;
  pid_t pid() const { return pid_; }
  ProgramResult wait();

 private:
  TemporaryFolder folder_;
  pid_t pid_ = 0;
};

// Runs it to its end.
ProgramResult run_cogvx_gen(const ProgramCall& call);
ProgramResult run_cogvx_gen(const std::vector<std::string>& arguments,
                            const std::string& input = "");
// Runs it, and `act` once `marker` stands in its standard error.
ProgramResult run_and_act(const ProgramCall& call, const std::string& marker,
                          const std::function<void(const Program&)>& act);

// A folder as an installed program has one: bin/cogvx-gen, a copy, and in lib/ links of these names
// to these files, such as plugins that play a GPU.
void install_program(const std::filesystem::path& folder,
                     const std::map<std::string, std::filesystem::path>& libraries);

// The shell line that runs it in the world of tests/support/hostile_world.cpp.
std::string in_hostile_world(const std::string& variables);

// Running processes whose command line holds `text`, such as a test's folder.
std::vector<pid_t> processes_naming(const std::string& text);
// The one of them that is this rank of its run; 0 where there is none.
pid_t rank_naming(const std::string& text, int rank);

std::string read_file(const std::filesystem::path& path);
// Names in a folder, sorted; none where there is no folder.
std::vector<std::string> names_in(const std::filesystem::path& folder);

}  // namespace cogvx::test
