#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "tests/app/hostile_table.h"
#include "tests/support/broken_files.h"
#include "tests/support/demo_run.h"
#include "tests/support/program.h"

// Folders, streams, memory and numbers that fail the program.
namespace cogvx::test {
namespace {

namespace fs = std::filesystem;

constexpr char kTransformer[] = "transformer/diffusion_pytorch_model.safetensors";
constexpr char kVae[] = "vae/diffusion_pytorch_model.safetensors";

std::function<void(const Scene&)> filled(const char* file, const char* tensor, float value) {
  return [=](const Scene& scene) {
    RawSafetensors weights = RawSafetensors::load(scene.model(file));
    weights.fill(tensor, value);
    weights.save(scene.model(file));
  };
}

std::function<void(const Scene&)> put(const char* name) {
  return [=](const Scene& scene) { put_file(scene / name, "somebody's"); };
}

TEST(HostileWorld, Outputs) {
  run_rows({
      {"the output exists", 2, "pass --overwrite", {}, put("v.mp4")},
      {"its sidecar exists", 2, "pass --overwrite", {}, put("v.json")},
      {"a foreign file where latents are kept",
       2,
       "not one that this version reads",
       {},
       put("v.latents.safetensors")},
      {"a foreign file where the state is kept",
       2,
       "not one that this version reads",
       {},
       put("v.state.safetensors")},
      {"the output is a folder",
       2,
       "is a folder",
       {"-o", "{}/d.mp4"},
       [](const Scene& scene) { fs::create_directory(scene / "d.mp4"); }},
      {"the output is a device", 2, ".mp4", {"-o", "/dev/null"}},
      {"an output without a name", 2, "", {"-o", ""}},
      {"the output's folder is missing", 9, "make the folder first", {"-o", "{}/no/v.mp4"}},
      {"the output's folder is a file", 9, "folder", {"-o", "{}/f/v.mp4"}, put("f")},
      {"an output of 300 letters",
       9,
       "shorter name",
       {"-o", "{}/" + std::string(300, 'v') + ".mp4"}},
      {"an output of 5000 letters",
       9,
       "shorter name",
       {"-o", "{}/" + std::string(5000, 'v') + ".mp4"}},
      {"the output in /proc", 9, "cannot make a file", {"-o", "/proc/v.mp4"}},
      {"--frames-dir holds files",
       2,
       "--overwrite",
       {"--frames-dir", "{}/d"},
       [](const Scene& scene) {
         fs::create_directory(scene / "d");
         put_file(scene / "d/000000.png", "somebody's");
       }},
      {"--frames-dir is a file", 2, "folder", {"--frames-dir", "{}/f"}, put("f")},
      {"--save-latents into a missing folder",
       9,
       "make the folder first",
       {"--save-latents", "{}/no/l"}},
      {"--log-file below a file", 9, "--log-file", {"--log-file", "{}/f/log"}, put("f")},
      {"standard output is closed",
       9,
       "standard output cannot be written",
       {},
       {},
       {},
       "exec \"$@\" >&-",
       false,
       {"v.json", "v.mp4"}},
      {"standard output is closed, and a log file could take its place",
       9,
       "standard output cannot be written",
       {"--log-file", "{}/log"},
       {},
       {},
       "exec \"$@\" >&-",
       false,
       {"v.json", "v.mp4", "log"}},
      {"standard output is full",
       9,
       "standard output cannot be written",
       {},
       {},
       {},
       "exec \"$@\" >/dev/full",
       false,
       {"v.json", "v.mp4"}},
      {"--help into a full disk",
       9,
       "standard output",
       {"--help"},
       {},
       {},
       "exec \"$@\" >/dev/full",
       true},
      {"no file may be larger than 40 KB",
       9,
       "go on with --decode-latents",
       {"--lossless", "-o", "{}/v.mkv"},
       {},
       {},
       "ulimit -f 80; exec \"$@\"",
       false,
       {"v.latents.safetensors"}},
  });
}

TEST(HostileWorld, FullDisks) {
  const auto full = [](const char* name) {
    return "TMPDIR={} " + in_hostile_world(std::string("COGVX_TEST_FULL=") + name);
  };
  run_rows({
      {"no room for the video",
       9,
       "No space left",
       {},
       {},
       {},
       full(".v.mp4"),
       false,
       {"v.latents.safetensors"}},
      {"no room for the frames",
       9,
       "No space left",
       {"--frames-dir", "{}/d"},
       {},
       {},
       full(".d."),
       false,
       {"v.latents.safetensors"}},
      {"no room for the sidecar",
       9,
       "No space left",
       {},
       {},
       {},
       full(".v.json"),
       false,
       {"v.latents.safetensors"}},
      {"no room for the saved state, which is no reason to stop",
       0,
       "the state after step 2 is not saved",
       {"--checkpoint-every", "2"},
       {},
       {},
       full(".v.state")},
      {"no room for the latents beside the video",
       0,
       "No space left",
       {},
       {},
       {},
       full(".v.latents")},
  });
}

TEST(HostileWorld, SmallDisk) {
  const std::string shell =
      "exec unshare -rm sh -c 'mount -t tmpfs -o size=40k tmpfs \"$0\" && \"$@\"; code=$?; "
      "ls -A \"$0\" >&3; exit $code' {}/d \"$@\" 3>{}/left";
  if (std::system("unshare -rm true 2>/dev/null") != 0)
    GTEST_SKIP() << "this machine lets nobody mount a small disk";
  const auto prepare = [](const Scene& scene) {
    fs::create_directory(scene / "d");
    put_file(scene / "left", "");
  };
  run_rows({{"the disk of the output holds 40 KB",
             9,
             "the final latents are safe in",
             {"-o", "{}/d/v.mp4", "--steps", "2"},
             prepare,
             {},
             "TMPDIR={} " + shell}});
}

TEST(HostileWorld, Memory) {
  const auto limited = [](const char* kilobytes) {
    return std::string("ulimit -v ") + kilobytes + "; exec \"$@\"";
  };
  const std::vector<std::string> large = {
      "--allow-untrained-size", "--width", "1280",      "--height", "768", "--frames", "49",
      "--vae-tiling",           "off",     "--threads", "2"};
  const std::vector<std::string> endless = {
      "--allow-untrained-size", "--width", "8192", "--height", "8192", "--frames", "1017"};
  const std::vector<std::string> many = {"--threads", "1024"};
  run_rows({
      {"a video of 8192x8192x1017 pixels", 5, "needs about", endless},
      {"ulimit -v below the need", 5, "ulimit -v is", large, {}, {}, limited("3000000")},
      {"ulimit -v just above the program",
       5,
       ", ulimit -v is 0.68 GB",
       {"--threads", "1"},
       {},
       {},
       limited("660000")},
      {"1024 threads under ulimit -v", 5, "threads", many, {}, {}, limited("6000000")},
  });
}

// The plan was right, and yet there is no memory: another program took it.
TEST(HostileWorld, MemoryThatIsGone) {
  run_rows({
      {"no block of 30 KB while the text is encoded",
       5,
       "encode_text got no more memory: it needs about 0.16 GB",
       {},
       {},
       {},
       in_hostile_world("COGVX_TEST_NO_BLOCK_OF=30000")},
      {"no block of 500 KB while denoising",
       5,
       "denoise got no more memory: it needs about 0.19 GB",
       {},
       {},
       {},
       in_hostile_world("COGVX_TEST_NO_BLOCK_OF=500000")},
      {"no block of 1 MB while decoding",
       5,
       "go on with --decode-latents",
       {},
       {},
       {},
       in_hostile_world("COGVX_TEST_NO_BLOCK_OF=1000000"),
       false,
       {"v.latents.safetensors"}},
  });
}

TEST(HostileWorld, Numbers) {
  run_rows({
      {"weights of 3e38 in the transformer",
       6,
       "step 1 of 2 gave latents that are not finite in fp32",
       {},
       filled(kTransformer, "proj_out.weight", 3e38F)},
      {"the same in bf16",
       6,
       "not finite in bf16; try --dtype fp32",
       {"--dtype", "bf16"},
       filled(kTransformer, "proj_out.weight", 3e38F)},
      {"weights of 3e38 in the VAE",
       6,
       "decode: frame 0 has values that are not finite",
       {},
       filled(kVae, "decoder.conv_out.conv.weight", 3e38F),
       {},
       {},
       false,
       {"v.latents.safetensors"}},
      {"a VAE that gives black",
       0,
       "every pixel of the video is black",
       {},
       [](const Scene& scene) {
         filled(kVae, "decoder.conv_out.conv.weight", 0)(scene);
         filled(kVae, "decoder.conv_out.conv.bias", -5)(scene);
       }},
  });
}

TEST(HostileWorld, Broken) {
  run_rows({
      {"libav without libx264",
       9,
       "its h264 encoders are: ",
       {},
       {},
       {},
       in_hostile_world("COGVX_TEST_NO_ENCODER=libx264")},
      {"standard input is closed",
       3,
       "--prompt-file -",
       {"--model", "{}/model", "--prompt-file", "-", "-o", "{}/v.mp4"},
       {},
       {},
       "exec \"$@\" <&-",
       true},
      {"the program cannot find itself",
       1,
       "internal error",
       {"--device", "cuda"},
       {},
       {},
       in_hostile_world("COGVX_TEST_NO_PROC=1")},
  });
}

// The checkpoint is read, never written, whatever its permissions.
TEST(HostileWorld, AReadOnlyCheckpointIsNeverWritten) {
  const TemporaryFolder folder;
  const Scene scene{folder.path()};
  link_demo_model(scene.model());
  const std::string shell =
      "exec unshare -rm sh -c 'mount --bind {m} {m} && mount -o remount,ro,bind {m} && exec "
      "\"$@\"' sh \"$@\"";
  if (std::system("unshare -rm true 2>/dev/null") != 0)
    GTEST_SKIP() << "this machine lets nobody mount a folder read-only";
  std::string line = shell;
  for (size_t at = line.find("{m}"); at != std::string::npos; at = line.find("{m}"))
    line.replace(at, 3, scene.model().string());
  const ProgramResult result =
      run_cogvx_gen({.arguments = {"--model", scene.model().string(), "-p", "x", "--steps", "1",
                                   "-o", (scene / "v.mp4").string()},
                     .input = {},
                     .shell = line});
  EXPECT_EQ(result.exit_code, 0) << result.err;
}

TEST(HostileWorld, AWallClockThatJumpsChangesNoByteAndNoTime) {
  const TemporaryFolder folder;
  const auto run = [&](const std::string& name, const std::string& shell) {
    const ProgramResult result =
        run_cogvx_gen({.arguments = {"--model", demo_model(), "-p", kDemoPrompt, "--steps", "4",
                                     "-o", (folder / name).string(), "--json"},
                       .input = {},
                       .shell = shell});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    for (const auto& [stage, seconds] :
         nlohmann::json::parse(result.out)["seconds"][0].get<std::map<std::string, double>>()) {
      EXPECT_GE(seconds, 0) << stage;
      EXPECT_LT(seconds, 600) << stage;
    }
    return read_file(folder / name);
  };
  EXPECT_TRUE(run("a.mp4", "") == run("b.mp4", in_hostile_world("COGVX_TEST_CLOCK=1")));
}

}  // namespace
}  // namespace cogvx::test
