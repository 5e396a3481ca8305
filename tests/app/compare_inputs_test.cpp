#include <sys/stat.h>

#include <csignal>
#include <fstream>

#include "io/png.h"
#include "tests/app/compare_test_support.h"
#include "tests/io/io_test_support.h"
#include "tests/support/broken_files.h"

// What cannot be read or compared: exit code 3, one line that says why, and the rest is compared.
namespace cogvx::test {
namespace {

namespace fs = std::filesystem;

class CompareInputs : public CompareTest {
 protected:
  void SetUp() override {
    make("a");
    make("other", {"--seed", "43"});
  }

  struct Row {
    std::string reference;
    std::string test;
    std::string line;  // what stands in it behind the place
  };
  void expect_refused(const Row& row) const {
    const ProgramResult result =
        compare({path(row.reference), path(row.test), path(row.reference)});
    EXPECT_EQ(result.exit_code, 3) << row.test;
    EXPECT_EQ(result.err.find("cogvx-compare: error: "), 0U) << result.err;
    EXPECT_EQ(result.err.find('\n'), result.err.size() - 1) << result.err;
    EXPECT_NE(result.err.find(row.test), std::string::npos) << result.err;
    EXPECT_NE(result.err.find(row.line), std::string::npos) << row.test << ": " << result.err;
    EXPECT_TRUE(result.out.starts_with(path(row.reference) + ": identical to ")) << result.out;
  }
};

TEST_F(CompareInputs, AVideoThatCannotBeReadOrIsUnlikeIsRefused) {
  if (!io::test::has_program("ffmpeg")) GTEST_SKIP() << "ffmpeg is not installed";
  const auto ffmpeg = [&](const std::string& arguments, const std::string& name) {
    io::test::ffmpeg(arguments + " " + io::test::shell(path(name)));
  };
  const std::string a = "-i " + io::test::shell(path("a.mkv"));
  ffmpeg(a + " -c:v libx264", "whole.mp4");
  ffmpeg("-f lavfi -i sine=d=1", "sound.mp4");
  ffmpeg(a + " -vf scale=48:32 -c:v libx264", "small.mp4");
  ffmpeg(a + " -frames:v 9 -c:v libx264", "short.mp4");
  const std::string whole = read_file(path("whole.mp4"));
  put_file(path("cut.mp4"), whole.substr(0, whole.size() / 2));
  put_file(path("tail.mp4"), whole.substr(whole.size() / 2));
  put_file(path("text.mp4"), "this is no video\n");
  put_file(path("empty.mp4"), "");
  put_file(path("brace.mp4"), "{");
  ASSERT_EQ(mkfifo(path("pipe.mp4").c_str(), 0666), 0);
  const std::vector<Row> rows = {
      {"whole.mp4", "missing.mp4", "no such file"},
      {"whole.mp4", "empty.mp4", "is empty"},
      {"whole.mp4", "cut.mp4", "give a whole file that ffprobe can read"},
      {"whole.mp4", "tail.mp4", "cannot open the video"},
      {"whole.mp4", "text.mp4", "cannot open the video"},
      {"whole.mp4", "brace.mp4", "JSON"},
      {"whole.mp4", "pipe.mp4", "is not a regular file"},
      {"whole.mp4", "sound.mp4", "sound without a video"},
      {"whole.mp4", "small.mp4",
       "has 17 frames of 48x32, " + path("whole.mp4") + " has 17 frames of 96x64"},
      {"whole.mp4", "short.mp4",
       "has 9 frames of 96x64, " + path("whole.mp4") + " has 17 frames of 96x64"},
      {"short.mp4", "whole.mp4", "has 17 frames of 96x64, "}};
  for (const Row& row : rows) expect_refused(row);
}

TEST_F(CompareInputs, AFolderWithoutAllFramesOfOneSizeIsRefused) {
  fs::create_directory(path("nothing"));
  for (const std::string name : {"hole", "mixed"}) fs::copy(path("a"), path(name));
  fs::remove(path("hole/000003.png"));
  io::write_png(path("mixed/000003.png"), noise_frames({32, 16}, 1, 1).view()[0]);
  for (const Row& row : std::vector<Row>{
           {"a", "nothing", "folder without frames"},
           {"a", "hole", "missing, but there are frames up to 000016.png"},
           {"a", "mixed", "000003.png': 32x16 pixels, wanted 96x64 as the first frame has"}})
    expect_refused(row);
}

TEST_F(CompareInputs, TwoKindsAreRefusedWithBothNames) {
  const ProgramResult stopped =
      run_and_act({.arguments = {"--model", demo_model(), "-p", kDemoPrompt, "--steps", "60",
                                 "--progress", "json", "-o", path("v.mp4")}},
                  kFourthStep, [](const Program& program) { program.send(SIGINT); });
  ASSERT_TRUE(fs::exists(path("v.state.safetensors"))) << stopped.err;
  const std::vector<Row> rows = {
      {"a.mkv", "a.safetensors", "holds latents, " + path("a.mkv") + " holds video frames"},
      {"a.safetensors", "a.mkv", "holds video frames, "},
      {"a.safetensors", "v.state.safetensors", "holds a state, "},
      {"v.state.safetensors", "a.safetensors", "holds latents, "},
      {"a.json", "a.trace", "holds a trace, " + path("a.json") + " holds a sidecar"},
      {"a.trace", "a", "holds video frames, "}};
  for (const Row& row : rows) expect_refused(row);
  EXPECT_EQ(compare({path("v.state.safetensors"), path("v.state.safetensors")}).exit_code, 0);
}

TEST_F(CompareInputs, LatentsThatAreBrokenOrUnlikeAreRefused) {
  const std::string bytes = read_file(path("a.safetensors"));
  put_file(path("cut.safetensors"), bytes.substr(0, bytes.size() - 1));
  make("short", {"--frames", "9", "--allow-untrained-size"});
  make("bf16", {"--dtype", "bf16"});
  RawSafetensors raw = RawSafetensors::load(path("a.safetensors"));
  raw.data[raw.data.size() - 1] = '\x7f';  // the sign and exponent of the last float32
  raw.data[raw.data.size() - 2] = '\xc0';
  raw.save(path("nan.safetensors"));
  for (const Row& row : std::vector<Row>{
           {"a.safetensors", "cut.safetensors", "is the download complete?"},
           {"a.safetensors", "short.safetensors", "holds latents fp32 [3,16,8,12], "},
           {"a.safetensors", "bf16.safetensors", "holds latents bf16 [5,16,8,12], "},
           {"a.safetensors", "nan.safetensors", "values that are not finite (NaN or infinity)"}})
    expect_refused(row);
}

TEST_F(CompareInputs, ASidecarOrTraceThatIsNoneIsRefused) {
  put_json(path("object.json"), {{"a", 1}});
  fs::copy_file(path("a.json"), path("bare.json"));
  patch_json(path("bare.json"), {{"sha256_frames", nullptr}});
  fs::copy_file(path("a.trace"), path("torn.trace"));
  patch_json(path("torn.trace"), {{"ladder", nullptr}});
  for (const Row& row : std::vector<Row>{{"a.json", "object.json", "is not a sidecar of cogvx-gen"},
                                         {"a.json", "bare.json", "'sha256_frames' is missing"},
                                         {"a.trace", "torn.trace", "'ladder' is"}})
    expect_refused(row);
}

TEST_F(CompareInputs, AReferenceThatCannotBeReadIsOneErrorHoweverManyTestsThereAre) {
  const ProgramResult result = compare({path("missing.mkv"), path("a.mkv"), path("other.mkv")});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(result.err, "cogvx-compare: error: " + path("missing.mkv") + ": no such file\n");
}

}  // namespace
}  // namespace cogvx::test
