#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "io/atomic_file.h"
#include "tests/support/demo_run.h"
#include "tests/support/program.h"
#include "tests/support/runnable_model.h"

// Runs with --lora.
namespace cogvx::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Flags = std::vector<std::string>;

class LoraRun : public testing::Test {
 protected:
  LoraRun() { write_runnable_checkpoint("tiny-2b", model()); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string model() const { return path("model"); }
  static std::string adapter(const std::string& name) {
    return (source_dir() / "tests" / "goldens" / "lora" / (name + ".safetensors")).string();
  }
  ProgramResult run(const Flags& more, const std::string& shell = "") const {
    Flags arguments = {"--model", model(),   "-p",          kDemoPrompt,  "--threads",
                       "1",       "--steps", "2",           "--frames",   "9",
                       "--json",  "-o",      path("v.mp4"), "--overwrite"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_cogvx_gen({.arguments = arguments, .shell = shell});
  }
  json made(const Flags& more) const {
    const ProgramResult result = run(more);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return json::parse(result.out, nullptr, /*allow_exceptions=*/false);
  }
  void expect_refused(const Flags& more, int code, const std::string& says) const {
    SCOPED_TRACE(testing::PrintToString(more));
    const ProgramResult result = run(more);
    EXPECT_EQ(result.exit_code, code);
    EXPECT_NE(result.err.find(says), std::string::npos) << result.err;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    EXPECT_EQ(names_in(folder_.path()), Flags{"model"});
  }

  TemporaryFolder folder_;
};

TEST_F(LoraRun, FilesScalesAndTheirOrderDecideTheVideo) {
  const std::string peft = adapter("tiny-2b.peft"), mixed = adapter("tiny-2b.mixed");
  const json bare = made({});
  const json one = made({"--lora", peft});
  const json two = made({"--lora", peft, "--lora", mixed + ":0.5", "--dtype", "bf16"});
  const json turned = made({"--lora", mixed + ":0.5", "--lora", peft, "--dtype", "bf16"});
  const json half = made({"--lora", peft + ":0.5"});
  EXPECT_NE(one["sha256_latents"], bare["sha256_latents"]);
  EXPECT_NE(half["sha256_latents"], one["sha256_latents"]);
  EXPECT_NE(turned["sha256_latents"], two["sha256_latents"]);
  EXPECT_EQ(made({"--lora", peft + ":0"})["sha256_latents"], bare["sha256_latents"]);
  EXPECT_EQ(made({"--lora", peft + ":1.0"})["sha256_latents"], one["sha256_latents"]);
  const json& loras = two["request"]["loras"];
  ASSERT_EQ(loras.size(), 2U);
  EXPECT_EQ(loras[0], one["request"]["loras"][0]);
  EXPECT_EQ(loras[0]["scale"], 1.0);
  EXPECT_EQ(loras[1]["scale"], 0.5);
  // The checkpoint stays what it is.
  EXPECT_EQ(one["request"]["checkpoint"], bare["request"]["checkpoint"]);
}

TEST_F(LoraRun, IsOneVideoOnEveryPlacement) {
  const Flags loras = {"--lora", adapter("tiny-2b.kohya_alpha"), "--lora",
                       adapter("tiny-2b.sat") + ":-0.25"};
  const json one = made(loras);
  for (const Flags& placement : {Flags{"--threads", "3"}, Flags{"--cp", "2"}, Flags{"--sp", "2"}}) {
    SCOPED_TRACE(testing::PrintToString(placement));
    Flags flags = loras;
    flags.insert(flags.end(), placement.begin(), placement.end());
    const json other = made(flags);
    EXPECT_EQ(other["sha256_latents"], one["sha256_latents"]);
    EXPECT_EQ(other["sha256_frames"], one["sha256_frames"]);
    EXPECT_EQ(other["request"], one["request"]);
  }
}

TEST_F(LoraRun, IsRepeatedFromItsSidecarAndItsConfig) {
  fs::copy_file(adapter("tiny-2b.peft"), folder_ / "with:colon.safetensors");
  const Flags loras = {"--lora", path("with:colon.safetensors") + ":0.5", "--lora",
                       adapter("tiny-2b.mixed")};
  const json one = made(loras);
  Flags asks = loras;
  asks.push_back("--dump-config");
  const ProgramResult dumped = run(asks);
  ASSERT_EQ(dumped.exit_code, 0) << dumped.err;
  EXPECT_EQ(json::parse(dumped.out)["lora"], (json{loras[1], loras[3]}));
  io::AtomicFile file(path("config.json"));
  file.write(dumped.out.data(), dumped.out.size());
  file.commit();
  EXPECT_EQ(made({"--config", path("config.json")})["sha256_frames"], one["sha256_frames"]);
  const ProgramResult again = run({"--from", path("v.json")});
  EXPECT_EQ(json::parse(again.out)["sha256_frames"], one["sha256_frames"]) << again.err;
  EXPECT_EQ(again.err.find("are not those"), std::string::npos) << again.err;
  const ProgramResult other = run({"--from", path("v.json"), "--lora", adapter("tiny-2b.peft")});
  EXPECT_EQ(other.exit_code, 0) << other.err;
  EXPECT_NE(other.err.find("the --lora files or their scales are not those of"), std::string::npos)
      << other.err;
}

TEST_F(LoraRun, SaysWhatIsMatchedAndWhatIsNot) {
  const ProgramResult result = run({"--lora", adapter("tiny-2b.peft_partly"), "--sp", "2"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.err.find("match nothing in the transformer and are left out: 8, the first is "
                            "'transformer_blocks.1.attn1.to_k.lora_A.weight'"),
            std::string::npos)
      << result.err;
  EXPECT_NE(result.err.find("changes 4 of the transformer's weights"), std::string::npos)
      << result.err;
}

TEST_F(LoraRun, BadOnesAreRefused) {
  const std::string peft = adapter("tiny-2b.peft");
  for (const char* scale : {"", "x", "nan", "inf", "1e999", "0.5x", "1,5"})
    expect_refused({"--lora", peft + ":" + scale}, 2, "wanted FILE or FILE:SCALE");
  expect_refused({"--lora", ""}, 2, "wanted FILE or FILE:SCALE");
  expect_refused({"--lora", ":0.5"}, 2, "wanted FILE or FILE:SCALE");
  expect_refused({"--lora", path("none.safetensors")}, 3, "none.safetensors");
  expect_refused({"--lora", path("none.safetensors"), "--sp", "2"}, 3, "none.safetensors");
  expect_refused({"--lora", path("model")}, 3, "model");
  expect_refused({"--lora", adapter("tiny-5b.peft")}, 3, "tensor 'transformer.transformer_blocks");
  expect_refused({"--lora", path("model/vae/diffusion_pytorch_model.safetensors")}, 3,
                 "names a layer of this model");
}

TEST_F(LoraRun, AStateGoesOnOnlyWithItsAdapters) {
  const std::string peft = adapter("tiny-2b.peft");
  Flags lasting = {"--lora", peft, "--steps", "12", "--progress", "json"};
  const json whole = made(lasting);
  Flags arguments = {"--model", model(), "-p", kDemoPrompt, "--frames", "9", "-o", path("w.mp4")};
  arguments.insert(arguments.end(), lasting.begin(), lasting.end());
  const ProgramResult stopped =
      run_and_act({.arguments = arguments}, R"("done":2,"part":0.0,"stage":"denoise")",
                  [](const Program& program) { program.send(SIGINT); });
  ASSERT_EQ(stopped.exit_code, 130) << stopped.err;
  const std::string state = path("w.state.safetensors");
  for (const Flags& others : {Flags{}, Flags{"--lora", peft + ":0.5"}}) {
    Flags flags = {"--resume", state, "--steps", "12"};
    flags.insert(flags.end(), others.begin(), others.end());
    const ProgramResult refused = run(flags);
    EXPECT_EQ(refused.exit_code, 2);
    EXPECT_NE(refused.err.find("the --lora files or their scales are not those"), std::string::npos)
        << refused.err;
  }
  const json resumed = made({"--resume", state, "--lora", peft, "--steps", "12"});
  EXPECT_EQ(resumed["sha256_frames"], whole["sha256_frames"]);
}

}  // namespace
}  // namespace cogvx::test
