#include <gtest/gtest.h>

#include <cstdlib>

#include "io/frames_folder.h"
#include "io/png.h"
#include "tests/app/hostile_table.h"
#include "tests/io/media_goldens.h"
#include "tests/support/broken_files.h"
#include "tests/support/demo_run.h"
#include "tests/support/program.h"
#include "tests/support/runnable_model.h"

// Images, videos and tasks that a model cannot take.
namespace cogvx::test {
namespace {

namespace fs = std::filesystem;
using Prepare = std::function<void(const Scene&)>;

constexpr char kConfig[] = "transformer/config.json";

// The command of a row that begins with an image; 9 frames of 64x64.
const Flags kOfImage = {"--model", "{}/tiny", "--image", "{}/input"};
const Flags kOfVideo = {"--video", "{}/input"};

// What `prepare` does beside a tiny checkpoint.
Prepare tiny(const std::string& recipe, const Prepare& prepare = {}) {
  return [=](const Scene& scene) {
    write_runnable_checkpoint(recipe, scene / "tiny");
    if (prepare) prepare(scene);
  };
}
Prepare input(const std::string& bytes) {
  return [=](const Scene& scene) { put_file(scene / "input", bytes); };
}
Prepare golden(const std::string& name) { return input(io::test::golden_file(name)); }
Prepare picture(int width, int height) {
  return [=](const Scene& scene) {
    io::write_png(scene / "input", noise_frames(1, {width, height}, /*seed=*/1).view()[0]);
  };
}
Prepare folder_of(int frames) {
  return [=](const Scene& scene) {
    io::write_png_frames(scene / "input", noise_frames(frames, {64, 64}, /*seed=*/1).view());
  };
}
// By the ffmpeg program, into "input".
Prepare by_ffmpeg(const std::string& arguments, const std::string& format) {
  return [=](const Scene& scene) {
    const std::string command =
        "ffmpeg -v error " + arguments + " -f " + format + " '" + (scene / "input").string() + "'";
    ASSERT_EQ(std::system(command.c_str()), 0) << command;
  };
}
Prepare patched(const std::string& name, const nlohmann::json& patch) {
  return [=](const Scene& scene) { patch_json(scene.model(name), patch); };
}

const std::string kTestVideo = "-f lavfi -i testsrc=size=96x64:rate=8:duration=3 ";

TEST(HostileInputs, Images) {
  const auto row = [](const char* what, int code, const char* says, const Prepare& prepare) {
    return Row{what, code, says, kOfImage, tiny("tiny-5b-i2v", prepare)};
  };
  const std::string png = io::test::golden_file("rgb8.png");
  run_rows({
      row("--image names nothing", 3, "input", {}),
      row("--image is a folder", 3, "input",
          [](const Scene& scene) { fs::create_directory(scene / "input"); }),
      row("--image is empty", 3, "input", input("")),
      row("--image is text", 3, "input", input("not a picture\n")),
      row("--image cut off", 3, "input", input(png.substr(0, png.size() - 30))),
      row("--image of 1x1", 0, "1x1 pixels is stretched to 128x64", golden("one.png")),
      row("--image of 20000x8", 3, "20000", picture(20000, 8)),
      row("--image is an animated WebP", 3, "anim", golden("animated.webp")),
      row("--image of a video", 3, "input", by_ffmpeg(kTestVideo, "matroska")),
  });
}

TEST(HostileInputs, ImagesThatAreConvertedWithANotice) {
  const Flags whole = with(kOfImage, {"--resize-mode", "pad"});
  const auto row = [&](const char* what, const char* says, const char* name) {
    return Row{what, 0, says, whole, tiny("tiny-5b-i2v", golden(name))};
  };
  run_rows({row("--image is an animated PNG", "first", "animated.png"),
            row("--image of CMYK", "CMYK", "cmyk.jpg"),
            row("--image of 16 bits", "more than 8 bits a channel", "rgb16.png"),
            row("--image with alpha", "alpha", "rgba8.png")});
}

TEST(HostileInputs, Videos) {
  const auto row = [](const char* what, int code, const char* says, const Prepare& prepare,
                      const Flags& more = {}) {
    return Row{what, code, says, with(kOfVideo, more), prepare};
  };
  run_rows({
      row("--video names nothing", 3, "input", {}),
      row("--video names nothing, two processes", 3, "input", {}, {"--sp", "2"}),
      row("--video of too few frames", 3, "9 frames", folder_of(9)),
      row("--video ends after --video-frames-from", 3, "17 frames", folder_of(17),
          {"--video-frames-from", "1"}),
      row("--video-frames-from -1", 2, "--video-frames-from is -1, wanted 0", folder_of(17),
          {"--video-frames-from=-1"}),
      row("--video-frames-from 2^32", 2, "--video-frames-from is 4294967296, wanted 0",
          folder_of(17), {"--video-frames-from", "4294967296"}),
      row("--video is sound alone", 3, "sound without a video",
          by_ffmpeg("-f lavfi -i sine=duration=1", "wav")),
      row("--video is an empty folder", 3, "input",
          [](const Scene& scene) { fs::create_directory(scene / "input"); }),
      row("--video without a frame", 3, "input", by_ffmpeg(kTestVideo + "-frames:v 0", "matroska")),
      row("--video is text", 3, "input", input("not a video\n")),
      row("--video lacks a PNG in between", 3, "000004.png",
          [](const Scene& scene) {
            folder_of(18)(scene);
            fs::remove(io::frame_path(scene / "input", 4));
          }),
      row("--video of variable frame rate", 0, "variable",
          by_ffmpeg(kTestVideo + "-vf \"select='not(eq(mod(n,5),3))'\" -fps_mode vfr", "matroska")),
  });
}

TEST(HostileInputs, Tasks) {
  const Flags image = {"--image", "{}/input"};
  run_rows({
      {"--image for a text model", 2, "--image is given, task t2v takes none", image,
       picture(64, 64)},
      {"--image and --video", 2, "--image is given, task v2v takes none", with(image, kOfVideo),
       picture(64, 64)},
      {"--task i2v of a text model", 2, "--task i2v wants a model with twice as many input",
       with({"--task", "i2v"}, image), picture(64, 64)},
      {"--task control of a text model", 2, "--task control wants a model with twice",
       with({"--task", "control"}, kOfVideo), folder_of(17)},
      {"--task v2v without --video", 2, "--video is missing: task v2v needs it", {"--task", "v2v"}},
      {"--task t2v with --video", 2, "--video is given, task t2v takes none",
       with({"--task", "t2v"}, kOfVideo), folder_of(17)},
      {"--task x2v",
       2,
       "--task is 'x2v', wanted one of: auto, t2v, i2v, v2v, control",
       {"--task", "x2v"}},
      {"--resize-mode zoom",
       2,
       "--resize-mode is 'zoom', wanted one of: stretch, crop, pad",
       {"--resize-mode", "zoom"}},
      {"--video-frames-from without --video",
       2,
       "--video-frames-from is given without --video",
       {"--video-frames-from", "3"}},
      {"an image model without --image",
       2,
       "--image is missing: task i2v needs it",
       {"--model", "{}/tiny"},
       tiny("tiny-5b-i2v")},
      {"--task t2v of an image model",
       2,
       "--task t2v wants a model with as many input",
       {"--model", "{}/tiny", "--task", "t2v"},
       tiny("tiny-5b-i2v")},
      {"a control model without --video",
       2,
       "--video is missing: task control needs it",
       {"--model", "{}/tiny"},
       tiny("tiny-fun-2b")},
      {"--scheduler dpm of a control model", 2, "--scheduler dpm does not take a control video",
       with({"--model", "{}/tiny", "--scheduler", "dpm"}, kOfVideo),
       tiny("tiny-fun-2b", folder_of(9))},
      {"--strength without --video",
       2,
       "--strength is of video-to-video, the task is t2v",
       {"--strength", "0.5"}},
      {"--strength 0", 2, "--strength is 0.0, wanted more than 0 and at most 1; nearest: 0.1",
       with(kOfVideo, {"--strength", "0"}), folder_of(17)},
      {"--strength 1.5", 2, "--strength is 1.5, wanted more than 0 and at most 1; nearest: 1",
       with(kOfVideo, {"--strength", "1.5"}), folder_of(17)},
      {"--strength that leaves no step", 2, "--strength 0.3 of --steps 2 leaves no step",
       with(kOfVideo, {"--strength", "0.3"}), folder_of(17)},
      {"--strength x", 2, "--strength is 'x', wanted a number", {"--strength", "x"}},
  });
}

// Sizes and lengths are refused before a weight is read, so configurations are enough.
TEST(HostileInputs, SizesAndLengthsOfEachKind) {
  const auto kind = [](int layers, int heads, int channels, const nlohmann::json& more) {
    nlohmann::json config = {
        {"num_layers", layers}, {"num_attention_heads", heads}, {"in_channels", channels}};
    config.update(more);
    return patched(kConfig, config);
  };
  const nlohmann::json rotary = {{"use_rotary_positional_embeddings", true}};
  const nlohmann::json two = {
      {"use_rotary_positional_embeddings", true}, {"patch_size_t", 2}, {"patch_bias", false}};
  const nlohmann::json two_image = {{"use_rotary_positional_embeddings", true},
                                    {"patch_size_t", 2},
                                    {"patch_bias", false},
                                    {"ofs_embed_dim", 64}};
  const nlohmann::json learned = {{"use_rotary_positional_embeddings", true},
                                  {"use_learned_positional_embeddings", true}};
  const auto size = [](const char* width, const char* height, const Flags& more) {
    return with({"--width", width, "--height", height}, more);
  };
  const Flags image = {"--task", "i2v", "--image", "{}/input"};
  const Flags control = {"--task", "control", "--video", "{}/input"};
  run_rows({
      {"2B at 640x480", 2, "a cogvideox-2b model was trained at 720x480; use that",
       size("640", "480", {}), kind(30, 30, 16, nlohmann::json::object())},
      {"5B at 480x720", 2, "a cogvideox-5b model was trained at 720x480; use that",
       size("480", "720", {}), kind(42, 48, 16, rotary)},
      {"5B-I2V at 1360x768", 2, "a cogvideox-5b-i2v model was trained at 720x480; use that",
       size("1360", "768", image), kind(42, 48, 32, learned)},
      {"1.5 at 720x480", 2, "a cogvideox-1.5-5b model was trained at 1360x768; use that",
       size("720", "480", {}), kind(42, 48, 16, two)},
      {"1.5-I2V at 640x1600", 2, "and a long one up to 1360; nearest: 768x1360, or pass",
       size("640", "1600", image), kind(42, 48, 32, two_image)},
      {"Fun 2B at 1600x128", 2, "1280 and a long one up to 1280; nearest: 1280x256, or pass",
       size("1600", "128", control), kind(30, 30, 32, nlohmann::json::object())},
      {"Fun 5B at 208x208", 2, "a cogvideox-fun-5b-control model was trained at 672x384, or",
       size("208", "208", control), kind(42, 48, 32, rotary)},
      {"1.5 with 50 frames",
       2,
       "trained at 16N+1 frames up to 161; nearest: 49",
       {"--frames", "50"},
       kind(42, 48, 16, two)},
      {"5B with 60 frames",
       2,
       "trained at 8N+1 frames up to 49; nearest: 49",
       {"--frames", "60"},
       kind(42, 48, 16, rotary)},
      {"1.5 and a video of 81 frames", 2, "trained at 16N+13 frames up to 157; nearest: 77",
       with(kOfVideo, {"--frames", "81"}), kind(42, 48, 16, two)},
      {"1.5 and a video of 81 frames, allowed", 2,
       "21 latent frames, this model takes an even number; nearest: --frames 77 or 85",
       with(kOfVideo, {"--frames", "81", "--allow-untrained-size"}), kind(42, 48, 16, two)},
      {"1.5 and a video of one frame", 2, "an even number; nearest: --frames 5",
       with(kOfVideo, {"--frames", "1", "--allow-untrained-size"}), kind(42, 48, 16, two)},
  });
}

}  // namespace
}  // namespace cogvx::test
