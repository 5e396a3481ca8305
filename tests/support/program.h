#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace cogvx::test {

struct ProgramResult {
  int exit_code = -1;  // 128 + signal where one ended it
  std::string out;
  std::string err;
};

// Runs cogvx-gen of this build to its end, with `input` as its standard input.
ProgramResult run_cogvx_gen(const std::vector<std::string>& arguments,
                            const std::string& input = "");

// Starts it, sends `signal` once `marker` stands in its standard error, and waits for its end.
ProgramResult interrupt_cogvx_gen(const std::vector<std::string>& arguments,
                                  const std::string& marker, int signal);

std::string read_file(const std::filesystem::path& path);

}  // namespace cogvx::test
