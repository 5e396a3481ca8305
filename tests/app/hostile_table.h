#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

// Bad inputs, what the program must say to each, and a table of what it said.
namespace cogvx::test {

// Where one row plays: a folder with a copy of the demo model that `prepare` may break.
struct Scene {
  std::filesystem::path folder;

  std::filesystem::path operator/(const std::string& name) const { return folder / name; }
  std::filesystem::path model(const std::string& name = "") const {
    return folder / "model" / name;
  }
};

struct Row {
  std::string input;  // in words
  int code = 0;       // 0: a warning, and the video is made
  std::string says;   // part of the line
  // After --model, a prompt, --steps 2 and -o v.mp4, so that they win; "{}" is the scene's folder.
  std::vector<std::string> arguments{};
  std::function<void(const Scene&)> prepare{};
  std::string input_text{};  // standard input
  std::string shell{};       // see ProgramCall
  bool bare = false;         // `arguments` alone
  std::vector<std::string>
      leaves{};  // files beside those that `prepare` made, such as saved latents
};

// Runs every row and prints the table. Each run must end with its code and one line that says what
// it must, and leave nothing under an output's name.
void run_rows(const std::vector<Row>& rows);

}  // namespace cogvx::test
