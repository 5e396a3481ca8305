// --verify SIDECAR: the video made again, on this placement and on others.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/support/demo_run.h"
#include "tests/support/program.h"

namespace cogvx::test {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

class Verify : public testing::Test {
 protected:
  Verify() {
    const ProgramResult made =
        run_cogvx_gen({"--model", demo_model(), "-p", kDemoPrompt, "--steps", "2", "--seed", "7",
                       "--threads", "1", "--lossless", "-o", path("v.mkv"), "--progress", "none"});
    EXPECT_EQ(made.exit_code, 0) << made.err;
    before_ = names_in(folder_.path());
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  ProgramResult verify(const Flags& more = {}) const {
    Flags flags = {"--verify", path("v.json"), "--model", demo_model(), "--progress", "none"};
    flags.insert(flags.end(), more.begin(), more.end());
    return run_cogvx_gen(flags);
  }
  void change(const std::function<void(json&)>& edit) const {
    json sidecar = json::parse(read_file(path("v.json")));
    edit(sidecar);
    std::ofstream(path("v.json")) << sidecar.dump();
  }

  TemporaryFolder folder_;
  std::vector<std::string> before_;
};

TEST_F(Verify, TheSameOnEveryPlacementAndNothingStays) {
  for (const Flags& where : {Flags{}, Flags{"--threads", "2"}, Flags{"--sp", "3", "--threads", "1"},
                             Flags{"--cp", "2", "--sp", "2", "--threads", "1"}}) {
    const ProgramResult result = verify(where);
    EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
    EXPECT_THAT(result.out, AllOf(HasSubstr("v.json: identical"), HasSubstr("sha256")));
  }
  EXPECT_THAT(verify({"--sp", "2"}).out, HasSubstr("made on 1x1 and 1x2 (cp x sp)"));
  EXPECT_EQ(names_in(folder_.path()), before_);
  const json object = json::parse(verify({"--json"}).out);
  EXPECT_EQ(object.at("same"), true);
}

TEST_F(Verify, OtherBytesAreExitCode10) {
  change([](json& sidecar) { sidecar["sha256_frames"] = std::string(64, '0'); });
  const ProgramResult result = verify();
  EXPECT_EQ(result.exit_code, 10) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("v.json: DIFFERENT: sha256_frames is another"),
                                HasSubstr("as videos they are inf dB apart")));
}

TEST_F(Verify, AnotherEngineIsNamedWithTheDistance) {
  // As if another libtorch had made a video that is a little different.
  EXPECT_EQ(run_cogvx_gen({"--from", path("v.json"), "--model", demo_model(), "--dtype", "bf16",
                           "-o", path("v.mkv"), "--overwrite", "--progress", "none"})
                .exit_code,
            0);
  change([](json& sidecar) {
    sidecar["engine"]["torch"] = "2.10.0";
    sidecar["request"]["dtype"] = "fp32";
  });
  const ProgramResult result = verify();
  EXPECT_EQ(result.exit_code, 10) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("made by another engine (torch 2.10.0 and 2.11.0)"),
                                testing::ContainsRegex("as videos they are [0-9.]+ dB apart")));
}

TEST_F(Verify, TakesAllButThePlacementFromTheSidecar) {
  for (const Flags& more : {Flags{"--seed", "8"}, Flags{"-o", path("w.mkv")},
                            Flags{"-p", "a red circle"}, Flags{"--steps", "3"}}) {
    const ProgramResult result = verify(more);
    EXPECT_EQ(result.exit_code, 2) << result.out;
    EXPECT_THAT(result.err, HasSubstr("is given with --verify"));
  }
  EXPECT_EQ(run_cogvx_gen(Flags{"--verify", path("none.json"), "--model", demo_model()}).exit_code,
            3);
  EXPECT_EQ(run_cogvx_gen(Flags{"--verify", path("v.json")}).exit_code, 2);
}

}  // namespace
}  // namespace cogvx::test
