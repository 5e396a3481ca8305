#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "io/atomic_file.h"
#include "tests/support/demo_run.h"
#include "tests/support/program.h"

// Batches as their users run them, on the demo model at a size that takes a moment.
namespace cogvx::test {

namespace fs = std::filesystem;
using nlohmann::json;

inline std::vector<json> objects_in(const std::string& out) {
  std::vector<json> objects;
  std::istringstream lines(out);
  for (std::string line; std::getline(lines, line);)
    objects.push_back(json::parse(line, nullptr, /*allow_exceptions=*/false));
  return objects;
}

class Batch : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  Flags common(const Flags& more = {}) const {
    return with({"--model", model_, "--allow-untrained-size", "--frames", "5", "--width", "48",
                 "--height", "32", "--threads", "1", "--json", "--progress", "json"},
                more);
  }
  Flags batch(const Flags& more = {}) const {
    return with(common({"--batch", path("b.jsonl"), "-o", path("v/{index}.mp4")}), more);
  }
  void write_lines(const std::vector<json>& lines) {
    std::string text;
    for (const json& line : lines) text += line.dump() + "\n";
    io::write_text_file(path("b.jsonl"), text);
    fs::create_directories(path("v"));
  }
  // As a command of its own.
  const json& alone(const json& line) {
    json& report = alone_[line.dump()];
    if (!report.is_null()) return report;
    Flags flags = common({"-o", path("alone.mp4"), "--overwrite"});
    for (const auto& [key, value] : line.items()) {
      if (key == "output") continue;
      for (const json& one : value.is_array() ? value : json::array({value})) {
        flags.push_back("--" + key);
        flags.push_back(one.is_string() ? one.get<std::string>() : one.dump());
      }
    }
    const ProgramResult result = run_cogvx_gen(flags);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    report = json::parse(result.out, nullptr, /*allow_exceptions=*/false);
    report["file"] = read_file(path("alone.mp4"));
    return report;
  }
  // The video of this name is what the line gives by itself.
  void expect_alone(const std::string& name, const json& line) {
    SCOPED_TRACE(name);
    const json made =
        json::parse(read_file(path("v/" + name + ".json")), nullptr, /*allow_exceptions=*/false);
    const json& wanted = alone(line);
    ASSERT_TRUE(made.is_object());
    EXPECT_EQ(made["sha256_latents"], wanted["sha256_latents"]);
    EXPECT_EQ(made["sha256_frames"], wanted["sha256_frames"]);
    EXPECT_EQ(made["request"], wanted["request"]);
    EXPECT_TRUE(read_file(path("v/" + name + ".mp4")) == wanted["file"]);
  }
  static int64_t loads_of(const json& result, const char* part) {
    return result.at("loads").at(part);
  }

  TemporaryFolder folder_;
  std::string model_ = demo_model();
  std::map<std::string, json> alone_;
};

inline json video(int seed, const json& more = json::object()) {
  json line = {{"prompt", seed % 3 == 0 ? "a blue circle grows" : kDemoPrompt},
               {"seed", seed},
               {"steps", 2 + seed % 3}};
  line.update(more);
  return line;
}

}  // namespace cogvx::test
