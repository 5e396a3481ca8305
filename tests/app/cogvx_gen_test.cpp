#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "core/base/sha256.h"
#include "io/png.h"
#include "io/video_info.h"
#include "tests/support/demo_run.h"
#include "tests/support/program.h"
#include "tests/support/test_paths.h"

// The program as its users see it, on the demo model.
namespace cogvx::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kPrompt = kDemoPrompt;

class CogvxGen : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  // A short run with the demo model; `more` wins over what stands before it.
  ProgramResult generate(const std::vector<std::string>& more,
                         const std::string& input = "") const {
    std::vector<std::string> arguments = {"--model", demo_model(), "--steps",
                                          "4",       "-o",         path("v.mp4")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_cogvx_gen(arguments, input);
  }
  json generate_json(std::vector<std::string> more) const {
    more.insert(more.end(), {"--json", "--overwrite"});
    const ProgramResult result = generate(more);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return json::parse(result.out, nullptr, /*allow_exceptions=*/false);
  }

  TemporaryFolder folder_;
};

TEST_F(CogvxGen, APromptBecomesAnMp4WithASidecarAndNothingElse) {
  const ProgramResult result = generate({"--prompt", kPrompt});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, path("v.mp4") + "\n");
  EXPECT_EQ(names_in(folder_.path()), (std::vector<std::string>{"v.json", "v.mp4"}));
  const io::VideoInfo info = io::read_video_info(path("v.mp4"));
  EXPECT_EQ(info.codec, "h264");
  EXPECT_EQ(info.pixel_format, "yuv420p");
  EXPECT_EQ(info.color_space, "bt709");
  EXPECT_EQ(info.color_range, "tv");
  EXPECT_EQ(info.size, (io::FrameSize{96, 64}));
  EXPECT_EQ(info.frame_rate, (io::FrameRate{8, 1}));
  EXPECT_EQ(info.frame_count, 17);
}

TEST_F(CogvxGen, BytesDoNotDependOnThreads) {
  for (const char* dtype : {"fp32", "bf16"}) {
    std::string video;
    json first;
    for (const char* threads : {"1", "2", "3", "5"}) {
      const json report = generate_json({"-p", kPrompt, "--dtype", dtype, "--threads", threads});
      const std::string bytes = read_file(path("v.mp4"));
      if (first.is_null()) first = report, video = bytes;
      EXPECT_EQ(report["sha256_latents"], first["sha256_latents"])
          << dtype << ", threads " << threads;
      EXPECT_EQ(report["sha256_frames"], first["sha256_frames"])
          << dtype << ", threads " << threads;
      EXPECT_TRUE(bytes == video) << dtype << ": the MP4 of " << threads << " threads differs";
    }
  }
}

TEST_F(CogvxGen, HashesAreThoseOfTheLatentsFileAndTheFrames) {
  const json report = generate_json(
      {"-p", kPrompt, "--save-latents", path("l.safetensors"), "--frames-dir", path("frames")});
  const std::string latents = read_file(path("l.safetensors"));
  const size_t bytes = 5 * 16 * 8 * 12 * sizeof(float);
  EXPECT_EQ(sha256_hex(latents.data() + latents.size() - bytes, bytes), report["sha256_latents"]);
  Sha256 frames;
  for (const std::string& name : names_in(path("frames"))) {
    const io::Image image = io::read_png(fs::path(path("frames")) / name);
    frames.update(image.pixels.data(), image.pixels.size());
  }
  EXPECT_EQ(frames.hex_digest(), report["sha256_frames"]);
  EXPECT_EQ(report["units"][0], report["units_of_all_ranks"]);
}

TEST_F(CogvxGen, TheSeedDecidesAndAPickedSeedIsReported) {
  const json first = generate_json({"-p", kPrompt});
  EXPECT_NE(generate_json({"-p", kPrompt, "--seed", "43"})["sha256_latents"],
            first["sha256_latents"]);
  const json picked = generate_json({"-p", kPrompt, "--seed", "-1"});
  const std::string seed = picked["request"]["seed"].dump();
  EXPECT_EQ(generate_json({"-p", kPrompt, "--seed", seed})["sha256_frames"],
            picked["sha256_frames"]);
}

// Runs a program of FFmpeg and returns what it prints; empty where it is not installed.
std::string printed_by(const std::string& command) {
  std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen((command + " 2>/dev/null").c_str(), "r"),
                                             pclose);
  std::string text;
  for (int letter = fgetc(pipe.get()); letter != EOF; letter = fgetc(pipe.get()))
    text += static_cast<char>(letter);
  return text;
}

TEST_F(CogvxGen, EveryCodecIsReadByFfmpegAndComesAgainByteForByte) {
  if (printed_by("ffprobe -version").empty()) GTEST_SKIP() << "ffprobe is not installed";
  struct Case {
    std::string codec, file;
  };
  for (const auto& [codec, file] :
       {Case{"h264", "a.mp4"}, Case{"hevc", "b.mp4"}, Case{"ffv1", "c.mkv"}}) {
    const std::vector<std::string> flags = {"-p",    kPrompt,      "--codec", codec,
                                            "--fps", "24000/1001", "-o",      path(file)};
    const json report = generate_json(flags);
    const std::string bytes = read_file(path(file));
    const json probe = json::parse(printed_by(
        "ffprobe -v error -count_frames -show_streams -show_format -of json '" + path(file) + "'"));
    const json& stream = probe["streams"][0];
    EXPECT_EQ(stream["codec_name"], codec);
    EXPECT_EQ(stream["nb_read_frames"], "17");
    EXPECT_EQ(stream["r_frame_rate"], "24000/1001");
    EXPECT_EQ(stream["color_primaries"], "bt709");
    const std::string comment =
        probe["format"]["tags"].value(codec == "ffv1" ? "COMMENT" : "comment", "");
    EXPECT_EQ(json::parse(comment)["cogvx_request"], report["request"]);
    generate_json(flags);
    EXPECT_TRUE(read_file(path(file)) == bytes) << codec << " gave other bytes the second time";
    if (codec == "ffv1") {
      const std::string pixels =
          printed_by("ffmpeg -v error -i '" + path(file) + "' -f rawvideo -pix_fmt rgb24 -");
      EXPECT_EQ(sha256_hex(pixels.data(), pixels.size()), report["sha256_frames"]);
    }
  }
}

TEST_F(CogvxGen, NoMetadataMeansNoneAndChangesNoFrame) {
  const json with = generate_json({"-p", kPrompt});
  EXPECT_EQ(io::read_video_info(path("v.mp4")).metadata.count("comment"), 1U);
  const json without = generate_json({"-p", kPrompt, "--no-metadata"});
  EXPECT_EQ(io::read_video_info(path("v.mp4")).metadata.count("comment"), 0U);
  EXPECT_EQ(without["sha256_frames"], with["sha256_frames"]);
}

TEST_F(CogvxGen, LosslessAloneMakesOutputMkv) {
  const ProgramResult result = run_cogvx_gen(
      {.arguments = {"--model", demo_model(), "-p", kPrompt, "--steps", "2", "--lossless"},
       .input = {},
       .shell = "cd '" + folder_.path().string() + "' && exec \"$@\""});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "output.mkv\n");
  EXPECT_EQ(io::read_video_info(path("output.mkv")).codec, "ffv1");
}

TEST_F(CogvxGen, FromASidecarTheSameVideoComesAgain) {
  const json first =
      generate_json({"-p", kPrompt, "--seed", "7", "-g", "3", "--steps", "3", "--dtype", "bf16",
                     "--negative-prompt", "a red circle", "--fps", "12", "-o", path("first.mp4")});
  const ProgramResult again = run_cogvx_gen(
      {"--model", demo_model(), "--from", path("first.json"), "-o", path("again.mp4"), "--json"});
  ASSERT_EQ(again.exit_code, 0) << again.err;
  const json report = json::parse(again.out);
  EXPECT_EQ(report["request"], first["request"]);
  EXPECT_EQ(report["sha256_frames"], first["sha256_frames"]);
  EXPECT_TRUE(read_file(path("first.mp4")) == read_file(path("again.mp4")));
}

TEST_F(CogvxGen, FromASidecarOfAnotherCheckpointIsRefused) {
  generate_json({"-p", kPrompt});
  json sidecar = json::parse(read_file(path("v.json")));
  sidecar["request"]["checkpoint"]["transformer"] = std::string(64, '0');
  std::ofstream(path("other.json")) << sidecar;
  const ProgramResult result = run_cogvx_gen(
      {"--model", demo_model(), "--from", path("other.json"), "-o", path("again.mp4")});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_NE(result.err.find("the transformer is not the one in"), std::string::npos) << result.err;
  EXPECT_FALSE(fs::exists(path("again.mp4")));
}

TEST_F(CogvxGen, SavedLatentsDecodeToTheSameFrames) {
  const json first = generate_json({"-p", kPrompt, "--save-latents", path("l.safetensors")});
  const json again =
      generate_json({"--decode-latents", path("l.safetensors"), "-o", path("again.mp4")});
  EXPECT_EQ(again["sha256_frames"], first["sha256_frames"]);
  EXPECT_TRUE(fs::exists(path("l.safetensors")));
}

TEST_F(CogvxGen, ADumpedConfigMakesTheSameVideo) {
  const json first = generate_json({"-p", kPrompt, "--seed", "3"});
  const ProgramResult dump =
      generate({"-p", kPrompt, "--seed", "3", "--dump-config", "--overwrite"});
  ASSERT_EQ(dump.exit_code, 0) << dump.err;
  std::ofstream(path("c.json")) << dump.out;
  EXPECT_EQ(generate_json({"--config", path("c.json")})["sha256_frames"], first["sha256_frames"]);
}

TEST_F(CogvxGen, APromptComesFromStandardInputToo) {
  const json flag = generate_json({"-p", kPrompt});
  const ProgramResult piped =
      generate({"--prompt-file", "-", "--json", "--overwrite"}, std::string(kPrompt) + "\n");
  ASSERT_EQ(piped.exit_code, 0) << piped.err;
  EXPECT_EQ(json::parse(piped.out)["sha256_frames"], flag["sha256_frames"]);
}

TEST_F(CogvxGen, ATooLongPromptNamesWhatIsCutAndStrictRefusesIt) {
  std::string prompt = kPrompt;
  for (int i = 0; i < 5; ++i) prompt += " and a red circle";
  const ProgramResult cut = generate({"-p", prompt});
  EXPECT_EQ(cut.exit_code, 0);
  EXPECT_NE(cut.err.find("cut off: '"), std::string::npos) << cut.err;
  EXPECT_EQ(generate({"-p", prompt, "--strict-prompt", "--overwrite"}).exit_code, 2);
}

TEST_F(CogvxGen, AnUntrainedLengthGivesWhatDiffusersGives) {
  const ProgramResult refused = generate({"-p", kPrompt, "--frames", "5"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_NE(refused.err.find("nearest: 9"), std::string::npos) << refused.err;
  const ProgramResult made = generate({"-p", kPrompt, "--frames", "5", "--allow-untrained-size"});
  EXPECT_EQ(made.exit_code, 0) << made.err;
  EXPECT_NE(made.err.find("gives 8 frames"), std::string::npos) << made.err;
  EXPECT_EQ(io::read_video_info(path("v.mp4")).frame_count, 8);
}

TEST_F(CogvxGen, WrongWordsGetOneLineAndTheirExitCode) {
  struct Case {
    int code;
    const char* says;
    std::vector<std::string> arguments;
  };
  std::ofstream(path("there.mp4")) << "x";
  const std::vector<Case> cases = {
      {2, "--prompt is missing", {}},
      {2, "--foo", {"-p", "x", "--foo"}},
      {2, "nearest: 96x64", {"-p", "x", "--width", "100"}},
      {2, "trained at 96x64", {"-p", "x", "--width", "112"}},
      {2, "--steps is 0", {"-p", "x", "--steps", "0"}},
      {2, "fp16", {"-p", "x", "--dtype", "fp16"}},
      {2, "nearest: --vae-tile 48x40", {"-p", "x", "--vae-tile", "50x41"}},
      {2, "exists; pass --overwrite", {"-p", "x", "-o", path("there.mp4")}},
      {2, "--fps is '0'", {"-p", "x", "--fps", "0"}},
      {2, "not UTF-8", {"-p", "\xff\xfe"}},
      {3, "no such folder", {"-p", "x", "--model", path("nothing")}},
      {3, "cannot be read", {"--prompt-file", path("nothing")}},
      {4, "CUDA", {"-p", "x", "--device", "cuda"}},
      {9, "make the folder first", {"-p", "x", "-o", path("no/v.mp4")}},
  };
  for (const Case& c : cases) {
    const ProgramResult result = generate(c.arguments);
    EXPECT_EQ(result.exit_code, c.code) << result.err;
    EXPECT_NE(result.err.find(c.says), std::string::npos) << c.says << " is not in: " << result.err;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    EXPECT_EQ(result.out, "");
  }
  EXPECT_EQ(names_in(folder_.path()), std::vector<std::string>{"there.mp4"});
}

// Two layers of 2B's geometry at 480x720x9, and the real VAE at a small size.
TEST_F(CogvxGen, PeakMemoryIsAtMostThePlanPlus15Percent) {
  const std::string maker = (source_dir() / "scripts" / "make_random_checkpoint.py").string();
  const std::string tokenizer = demo_model() + "/tokenizer/spiece.model";
  struct Case {
    std::vector<std::string> maker_arguments, run_arguments;
  };
  const std::vector<Case> cases = {
      {{"--layers 2 --slim-vae 16"}, {"--frames", "9", "--vae-tiling", "off"}},
      {{"--layers 1"}, {"--frames", "9", "--width", "96", "--height", "80"}}};
  for (const Case& c : cases) {
    const std::string command = "python3 '" + maker + "' --geometry 2b --tokenizer '" + tokenizer +
                                "' " + c.maker_arguments[0] + " '" + path("random") + "'";
    ASSERT_EQ(std::system(command.c_str()), 0);
    std::vector<std::string> arguments = {
        "--model", path("random"),           "-p",        "x", "--steps", "1", "-g", "1", "--dtype",
        "fp32",    "--allow-untrained-size", "--threads", "2"};
    arguments.insert(arguments.end(), c.run_arguments.begin(), c.run_arguments.end());
    const json report = generate_json(arguments);
    for (const char* stage : {"encode_text", "denoise", "decode"}) {
      const double peak = report["peak_memory_bytes"][0][stage];
      const double plan = report["predicted_memory_bytes"][0][stage];
      RecordProperty(stage, std::to_string(peak / plan));
      EXPECT_LE(peak, 1.15 * plan) << stage;
    }
  }
}

}  // namespace
}  // namespace cogvx::test
