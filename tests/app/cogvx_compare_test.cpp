#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/app/compare_test_support.h"

// cogvx-compare as its users run it, on what cogvx-gen made.
namespace cogvx::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class CogvxCompare : public CompareTest {
 protected:
  void SetUp() override {
    make("a");
    make("again", {"--sp", "2"});
    make("other", {"--seed", "43"});
  }
};

const std::vector<std::string> kKinds = {".mkv", "", ".safetensors", ".trace", ".json"};

TEST_F(CogvxCompare, TheSameBytesOnAnotherPlacementAreIdenticalAndThePlacementIsNamed) {
  for (const std::string& kind : kKinds) {
    const ProgramResult result = compare({path("a" + kind), path("again" + kind)});
    EXPECT_EQ(result.exit_code, 0) << kind << result.out << result.err;
    EXPECT_TRUE(result.out.starts_with(path("again" + kind) + ": identical to " + path("a" + kind)))
        << result.out;
    // Saved latents know nothing of it.
    const std::string note =
        kind == ".safetensors"
            ? ""
            : "\n  made on 1x1 and 1x2 (cp x sp): expected to make no difference";
    EXPECT_EQ(result.out.find('\n'), result.out.size() - 1 - note.size()) << result.out;
    EXPECT_NE(result.out.find(note), std::string::npos) << result.out;
  }
  EXPECT_EQ(compare({path("a"), path("again.mkv")}).exit_code, 0) << "PNG frames and FFV1";
}

TEST_F(CogvxCompare, AnotherVideoIsToldWithTheFirstDifferenceAndTheRequest) {
  const auto verdict = [&](const std::string& kind) {
    const ProgramResult result = compare({path("a" + kind), path("other" + kind)});
    EXPECT_EQ(result.exit_code, 1) << kind << result.err;
    return result.out;
  };
  EXPECT_NE(verdict(".mkv").find("0 of 17 frames identical; first difference: frame 0, row 0"),
            std::string::npos);
  EXPECT_NE(verdict(".safetensors").find("first difference: latent frame 0"), std::string::npos);
  EXPECT_NE(verdict(".trace").find("first difference: latents before the first step"),
            std::string::npos);
  EXPECT_NE(verdict(".json").find("first difference: sha256_latents"), std::string::npos);
  for (const std::string kind : {".safetensors", ".trace", ".json"})
    EXPECT_NE(verdict(kind).find("the requests differ: seed is 42 and 43"), std::string::npos);
}

TEST_F(CogvxCompare, OneChangedPixelIsFoundWhereItIs) {
  const fs::path folder = path("changed");
  fs::copy(path("a"), folder);
  fs::copy_file(folder / "000003.png", folder / "000007.png", fs::copy_options::overwrite_existing);
  const ProgramResult result = compare({"--json", path("a"), folder, path("again")});
  EXPECT_EQ(result.exit_code, 1) << result.err;
  const json first = json::parse(result.out.substr(0, result.out.find('\n')));
  EXPECT_EQ(first["identical"], 16);
  EXPECT_EQ(first["total"], 17);
  EXPECT_NE(first["verdict"].get<std::string>().find("frame 7, "), std::string::npos) << first;
  const json second = json::parse(result.out.substr(result.out.find('\n')));
  EXPECT_EQ(second["same"], true);
}

TEST_F(CogvxCompare, ATraceThatContradictsItselfIsNotTheSameAsItself) {
  json trace = json::parse(read_file(path("a.trace")));
  trace["ladder"]["contradictions"] = {"latents after step 1: rank 0 and rank 1 have other bytes"};
  std::ofstream(path("torn.trace")) << trace;
  const ProgramResult result = compare({path("a.trace"), path("torn.trace")});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.out.find("contradict each other, first at latents after step 1"),
            std::string::npos)
      << result.out;
}

TEST_F(CogvxCompare, WhatCannotBeComparedIsOneLineAndTheRestIsCompared) {
  std::ofstream(path("empty.mp4"));
  std::ofstream(path("text.json")) << "{\"a\": 1}";
  fs::create_directory(path("nothing"));
  fs::copy(path("a"), path("short"));
  fs::remove(fs::path(path("short")) / "000016.png");
  const std::string cut = read_file(path("a.safetensors"));
  std::ofstream(path("cut.safetensors")) << cut.substr(0, cut.size() - 1);
  const std::vector<std::vector<std::string>> cases = {
      {path("a.mkv"), path("a.json")},
      {path("a.mkv"), path("missing.mkv")},
      {path("a.mkv"), path("empty.mp4")},
      {path("a"), path("nothing")},
      {path("a"), path("short")},
      {path("a.json"), path("text.json")},
      {path("a.safetensors"), path("cut.safetensors")}};
  for (std::vector<std::string> files : cases) {
    files.push_back(files[0]);
    const ProgramResult result = compare(files);
    EXPECT_EQ(result.exit_code, 3) << files[1];
    EXPECT_EQ(result.err.find("cogvx-compare: error: "), 0U) << result.err;
    EXPECT_EQ(result.err.find('\n'), result.err.size() - 1) << result.err;
    EXPECT_NE(result.out.find("identical to"), std::string::npos) << files[1] << result.out;
  }
}

TEST_F(CogvxCompare, UsageIsExitTwo) {
  EXPECT_EQ(compare({path("a.mkv")}).exit_code, 2);
  EXPECT_EQ(compare({"--frob", path("a.mkv"), path("a.mkv")}).exit_code, 2);
  EXPECT_EQ(compare({"--help"}).exit_code, 0);
}

}  // namespace
}  // namespace cogvx::test
