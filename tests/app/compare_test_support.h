#pragma once

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "io/frames.h"
#include "tests/support/demo_run.h"
#include "tests/support/program.h"

namespace cogvx::test {

ProgramResult compare(const std::vector<std::string>& arguments);
// The one object that --json says.
nlohmann::json compare_json(std::vector<std::string> arguments);

// A folder for each test, and in it what cogvx-gen makes with the demo model.
class CompareTest : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  // Every kind of file of one run of two steps, under one stem: .mkv, .json, .safetensors, .trace
  // and a folder of frames.
  void make(const std::string& stem, const std::vector<std::string>& more = {}) const;
  // A lossless video.
  std::string video(const std::string& name, const io::Frames& frames) const;

 private:
  TemporaryFolder folder_;
};

// Frames of noise, the first of this seed, each of the next one (scripts/goldens/compare_cases.py).
io::Frames noise_frames(io::FrameSize size, int count, uint32_t seed);
// Adds to one byte, modulo 256.
struct BytePlace {
  int frame = 0;
  int row = 0;
  int column = 0;
  int colour = 0;
};
void add_to(io::Frames& frames, const BytePlace& place, int value);

// The rows of a --per-frame file, each by the names in its first line.
std::vector<std::map<std::string, std::string>> read_csv(const std::string& path);

}  // namespace cogvx::test
