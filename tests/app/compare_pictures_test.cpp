#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "io/frames_folder.h"
#include "io/video_info.h"
#include "io/video_writer.h"
#include "tests/support/demo_run.h"
#include "tests/support/program.h"

// --html and --side-by-side of cogvx-compare.
namespace cogvx::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class ComparePictures : public testing::Test {
 protected:
  void SetUp() override {
    write("ref.mkv", 100);
    write("test.mkv", 110);
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  // Two grey frames at 12 a second.
  io::Frames grey(uint8_t level) const {
    const io::FrameSize size{.width = 32, .height = 16};
    return {.pixels = std::vector<uint8_t>(2 * size.bytes(), level), .count = 2, .size = size};
  }
  void write(const std::string& name, uint8_t level) const {
    io::write_video(path(name), grey(level).view(),
                    {.codec = io::VideoCodec::kFfv1, .frame_rate = {12, 1}});
  }
  ProgramResult compare(std::vector<std::string> arguments) const {
    return run_cogvx_gen({.arguments = std::move(arguments), .program = "cogvx-compare"});
  }

  TemporaryFolder folder_;
};

TEST_F(ComparePictures, AreDrawnForEveryTestThatCanBeRead) {
  std::ofstream(path("broken.mkv")) << "nothing";
  const ProgramResult result =
      compare({path("ref.mkv"), path("test.mkv"), path("broken.mkv"), path("ref.mkv"), "--html",
               path("page.html"), "--side-by-side", path("both.mp4")});
  EXPECT_EQ(result.exit_code, 3) << result.err;
  const io::VideoInfo info = io::read_video_info(path("both.mp4"));
  EXPECT_EQ(info.size, (io::FrameSize{.width = 3 * 32, .height = 20 + 2 * 16}));
  EXPECT_EQ(info.frame_rate, (io::FrameRate{12, 1}));
  EXPECT_EQ(info.frame_count, 2);
  EXPECT_THAT(
      info.metadata.at("comment"),
      HasSubstr("|TEST - REF| times 4; rows: " + path("test.mkv") + ", " + path("ref.mkv")));
  const std::string page = read_file(path("page.html"));
  EXPECT_THAT(page, HasSubstr("<title>1 of 2 differs from REF: " + path("ref.mkv")));
  EXPECT_THAT(page, HasSubstr("0 of 2 frames identical; first difference: frame 0, row 0"));
}

TEST_F(ComparePictures, OfFoldersRunAtEightFramesASecond) {
  for (const auto& [name, level] : {std::pair{"a", 100}, {"b", 110}}) {
    io::FramesFolder folder(path(name));
    folder.write(grey(static_cast<uint8_t>(level)).view());
    folder.commit();
  }
  EXPECT_EQ(compare({path("a"), path("b"), "--side-by-side", path("both.mp4"), "--html",
                     path("page.html")})
                .exit_code,
            1);
  EXPECT_EQ(io::read_video_info(path("both.mp4")).frame_rate, (io::FrameRate{8, 1}));
  EXPECT_THAT(read_file(path("page.html")), HasSubstr("data-rate=\"8/1\""));
}

TEST_F(ComparePictures, ReplaceNothingUnasked) {
  for (const std::string flag : {"--html", "--side-by-side"}) {
    const std::string out = path("out.mp4");
    std::ofstream(out) << "mine";
    const ProgramResult refused = compare({path("ref.mkv"), path("test.mkv"), flag, out});
    EXPECT_EQ(refused.exit_code, 2);
    EXPECT_THAT(refused.err, HasSubstr("exists; pass --overwrite"));
    EXPECT_EQ(read_file(out), "mine");
    EXPECT_EQ(compare({path("ref.mkv"), path("test.mkv"), flag, out, "--overwrite"}).exit_code, 1);
    EXPECT_NE(read_file(out), "mine");
  }
}

TEST_F(ComparePictures, AreRefusedBeforeAnythingIsRead) {
  const auto error = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments{path("missing.mkv"), path("test.mkv")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const ProgramResult result = compare(arguments);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    return result.err;
  };
  EXPECT_THAT(error({"--side-by-side", path("a.mkv")}), HasSubstr("does not end in .mp4"));
  EXPECT_THAT(error({"--html", path("none/a.html")}), HasSubstr("none"));
  EXPECT_THAT(error({"--html", path("a.mp4"), "--side-by-side", path("a.mp4")}),
              HasSubstr("would be both"));
}

TEST_F(ComparePictures, AreOfVideosAlone) {
  const ProgramResult made = run_cogvx_gen(
      {"--model", demo_model(), "-p", kDemoPrompt, "--steps", "1", "-o", path("a.mp4")});
  ASSERT_EQ(made.exit_code, 0) << made.err;
  for (const std::string flag : {"--html", "--side-by-side"}) {
    const ProgramResult result = compare({path("a.json"), path("a.json"), flag, path("out.mp4")});
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_THAT(result.err, HasSubstr(flag + " is given, but " + path("a.json") + " holds"));
    EXPECT_FALSE(fs::exists(path("out.mp4")));
  }
}

}  // namespace
}  // namespace cogvx::test
