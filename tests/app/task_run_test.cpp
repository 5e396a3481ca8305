#include <gtest/gtest.h>
#include <signal.h>

#include <nlohmann/json.hpp>
#include <ostream>

#include "core/base/random.h"
#include "io/atomic_file.h"
#include "io/png.h"
#include "tests/support/broken_files.h"
#include "tests/support/demo_run.h"
#include "tests/support/program.h"
#include "tests/support/runnable_model.h"

// Runs that begin with an image or a video, and CogVideoX 1.5, whose latents are padded.
namespace cogvx::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

struct TaskCase {
  const char* name;
  const char* recipe;  // null: the demo model
  const char* task;
  Flags flags{};   // "{}" is the test's folder
  int frames = 0;  // that come out
  const char* strength = "1.0";
};
void PrintTo(const TaskCase& c, std::ostream* out) { *out << c.name; }

const Flags kPadded = {
    "--frames", "9", "--width", "64", "--height", "64", "--allow-untrained-size"};

const TaskCase kCases[] = {
    {"ImageTo5b", "tiny-5b-i2v", "i2v", {"--image", "{}/a.png"}, 9},
    {"ImageTo15", "tiny-1.5-i2v", "i2v", with(kPadded, {"--image", "{}/a.png"}), 9},
    {"TextTo15", "tiny-1.5", "t2v", kPadded, 9},
    {"VideoWithDdim",
     nullptr,
     "v2v",
     {"--video", "{}/clip.mkv", "--strength", "0.5", "--scheduler", "ddim"},
     17,
     "0.5"},
    {"VideoWithDpm", nullptr, "v2v", {"--video", "{}/clip.mkv", "--scheduler", "dpm"}, 17, "0.8"},
    // Its frames are a folder's, and it begins with the third of them.
    {"ControlVideo",
     "tiny-fun-2b",
     "control",
     {"--video", "{}/clip", "--video-frames-from", "2", "--resize-mode", "crop"},
     9}};

class TaskRun : public testing::TestWithParam<TaskCase> {
 protected:
  TaskRun() {
    if (GetParam().recipe != nullptr) write_runnable_checkpoint(GetParam().recipe, model());
    io::write_png(folder_ / "a.png", noise_frames(1, {80, 60}, /*seed=*/1).view()[0]);
    io::write_png(folder_ / "b.png", noise_frames(1, {80, 60}, /*seed=*/2).view()[0]);
    if (task() == "control")
      io::write_png_frames(folder_ / "clip", noise_frames(11, {80, 60}, /*seed=*/3).view());
    if (task() == "v2v") {
      EXPECT_EQ(run_cogvx_gen({"--model", demo_model(), "-p", "a red circle", "--steps", "2",
                               "--codec", "ffv1", "-o", path("clip.mkv")})
                    .exit_code,
                0);
    }
  }
  std::string task() const { return GetParam().task; }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string model() const { return GetParam().recipe == nullptr ? demo_model() : path("model"); }
  Flags inputs() const {
    Flags flags = GetParam().flags;
    for (std::string& flag : flags) {
      if (flag.starts_with("{}")) flag = folder_.path().string() + flag.substr(2);
    }
    return flags;
  }
  Flags command(const Flags& more) const {
    return with(with({"--model", model(), "-p", kDemoPrompt, "--threads", "1", "--json", "-o",
                      path("v.mp4"), "--overwrite", "--steps", "4"},
                     inputs()),
                more);
  }
  static json finished(const Flags& arguments) {
    const ProgramResult result = run_cogvx_gen(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return json::parse(result.out, nullptr, /*allow_exceptions=*/false);
  }
  static void expect_same_video(const json& a, const json& b) {
    EXPECT_EQ(a["sha256_latents"], b["sha256_latents"]);
    EXPECT_EQ(a["sha256_frames"], b["sha256_frames"]);
  }

  TemporaryFolder folder_;
};

TEST_P(TaskRun, IsOneVideoOnEveryPlacement) {
  const json one = finished(command({}));
  ASSERT_TRUE(one.is_object());
  EXPECT_EQ(one["frames"], GetParam().frames);
  const json& request = one["request"];
  EXPECT_EQ(request["task"], GetParam().task);
  EXPECT_EQ(request["strength"].dump(), GetParam().strength);
  EXPECT_EQ(request["loras"], json::array());
  EXPECT_EQ(request["input_sha256"].get<std::string>().size(), task() == "t2v" ? 0U : 64U);
  EXPECT_EQ(request["checkpoint"]["vae_encoder"].get<std::string>().empty(), task() == "t2v");
  EXPECT_EQ(one["seconds"][0].contains("encode_video"), task() != "t2v");
  for (const Flags& placement : {Flags{"--cp", "2"}, Flags{"--threads", "3", "--sp", "2"},
                                 Flags{"--sp", "3", "--sp-mode", "gather"}}) {
    SCOPED_TRACE(testing::PrintToString(placement));
    const json other = finished(command(placement));
    expect_same_video(one, other);
    EXPECT_EQ(one["request"], other["request"]);
  }
}

TEST_P(TaskRun, GoesOnAfterAnInterruption) {
  const Flags longer = command({"--steps", "16", "--progress", "json"});
  const json whole = finished(longer);
  const ProgramResult stopped = run_and_act({.arguments = longer}, kFourthStep,
                                            [](const Program& program) { program.send(SIGINT); });
  ASSERT_EQ(stopped.exit_code, 130) << stopped.err;
  ASSERT_TRUE(fs::exists(folder_ / "v.state.safetensors")) << stopped.err;
  const json resumed =
      finished(with(longer, {"--resume", path("v.state.safetensors"), "--sp", "2"}));
  expect_same_video(resumed, whole);
  EXPECT_GE(resumed["continued_from"]["step"], 3);
  EXPECT_EQ(resumed["request"], whole["request"]);
}

TEST_P(TaskRun, IsDecodedFromItsLatentsAlone) {
  const json made = finished(command({"--save-latents", path("l.safetensors")}));
  for (const char* name : {"a.png", "clip", "clip.mkv"}) fs::remove_all(folder_ / name);
  const json decoded = finished({"--model", model(), "--decode-latents", path("l.safetensors"),
                                 "--json", "-o", path("decoded.mp4")});
  expect_same_video(decoded, made);
  EXPECT_EQ(decoded["request"], made["request"]);
  EXPECT_EQ(decoded["frames"], GetParam().frames);
  EXPECT_FALSE(decoded.contains("inputs"));
}

TEST_P(TaskRun, IsRepeatedFromItsSidecarAndFromItsConfig) {
  // Named from their folder, repeated from another.
  Flags nearby = command({});
  for (std::string& flag : nearby) {
    if (fs::path(flag).parent_path() == folder_.path()) flag = fs::path(flag).filename().string();
  }
  const ProgramResult first = run_cogvx_gen(
      {.arguments = nearby, .shell = "cd '" + folder_.path().string() + "'; exec \"$@\""});
  ASSERT_EQ(first.exit_code, 0) << first.err;
  const json made = json::parse(first.out);
  const ProgramResult again = run_cogvx_gen(
      {.arguments = {"--model", model(), "--from", path("v.json"), "--json", "-o", path("w.mp4")},
       .shell = "cd /; exec \"$@\""});
  ASSERT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(again.err.find("another video"), std::string::npos) << again.err;
  expect_same_video(json::parse(again.out), made);
  const ProgramResult dumped = run_cogvx_gen(command({"--dump-config"}));
  ASSERT_EQ(dumped.exit_code, 0) << dumped.err;
  const json config = json::parse(dumped.out);
  EXPECT_EQ(config["task"], GetParam().task);
  EXPECT_EQ(config["strength"].dump(), task() == "v2v" ? GetParam().strength : "null");
  io::AtomicFile file(path("config.json"));
  file.write(dumped.out.data(), dumped.out.size());
  file.commit();
  expect_same_video(finished({"--config", path("config.json")}), made);
}

TEST_P(TaskRun, SaysThatAnotherInputIsAnotherVideo) {
  if (task() == "t2v") return;
  const json made = finished(command({}));
  const Flags other = task() == "i2v"   ? Flags{"--image", path("b.png")}
                      : task() == "v2v" ? Flags{"--video", path("v.mp4")}
                                        : Flags{"--video-frames-from", "1"};
  const ProgramResult again = run_cogvx_gen(
      with({"--model", model(), "--from", path("v.json"), "--json", "-o", path("w.mp4")}, other));
  ASSERT_EQ(again.exit_code, 0) << again.err;
  EXPECT_NE(again.err.find("the pixels of --image or --video are not those of"), std::string::npos)
      << again.err;
  const json changed = json::parse(again.out);
  EXPECT_NE(changed["sha256_frames"], made["sha256_frames"]);
  EXPECT_NE(changed["request"]["input_sha256"], made["request"]["input_sha256"]);
}

// As diffusers draws: first the sample of the image, then the latents. DDIM draws nothing more.
TEST(TaskGenerator, GoesOnFromTheImagesSampleToTheLatents) {
  const TemporaryFolder folder;
  write_runnable_checkpoint("tiny-5b-i2v", folder / "model");
  io::write_png(folder / "a.png", noise_frames(1, {128, 64}, /*seed=*/1).view()[0]);
  const ProgramResult stopped = run_and_act(
      {.arguments = {"--model", (folder / "model").string(), "-p", kDemoPrompt, "--image",
                     (folder / "a.png").string(), "--scheduler", "ddim", "--seed", "7",
                     "--progress", "json", "-o", (folder / "v.mp4").string()}},
      kFourthStep, [](const Program& program) { program.send(SIGINT); });
  ASSERT_EQ(stopped.exit_code, 130) << stopped.err;
  const RawSafetensors state = RawSafetensors::load(folder / "v.state.safetensors");
  const json& offsets = state.header.at("generator").at("data_offsets");
  const std::string found =
      state.data.substr(offsets[0], offsets[1].get<size_t>() - offsets[0].get<size_t>());

  at::Generator generator = make_generator(7);
  (void)draw_normal({16, 1, 8, 16}, generator, at::kFloat);
  (void)draw_normal({3, 16, 8, 16}, generator, at::kFloat);
  const at::Tensor wanted = generator.get_state();
  EXPECT_EQ(found, std::string(static_cast<const char*>(wanted.const_data_ptr()),
                               static_cast<size_t>(wanted.nbytes())));
}

INSTANTIATE_TEST_SUITE_P(Tasks, TaskRun, testing::ValuesIn(kCases),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace cogvx::test
