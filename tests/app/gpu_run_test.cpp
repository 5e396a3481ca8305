// A run with --device cuda from prompt to file, where the plugins are fakes: the small one names
// devices, the other computes the CPU's formulas on a device of ATen's own.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "io/atomic_file.h"
#include "io/png.h"
#include "tests/support/demo_run.h"
#include "tests/support/program.h"
#include "tests/support/runnable_model.h"

namespace cogvx {
namespace {
namespace fs = std::filesystem;
using namespace test;
using nlohmann::json;

// What the fake plugins play.
struct Scene {
  std::string ops{};
  std::string devices = "two devices";
};

class GpuRun : public testing::Test {
 protected:
  GpuRun() {
    install_program(folder_.path(), {{"libcogvx_cuda.so", COGVX_FAKE_CUDA_PLUGIN},
                                     {"libcogvx_cuda_ops.so", COGVX_FAKE_CUDA_OPS_PLUGIN},
                                     {"libcogvx_nccl.so", COGVX_MOVING_NCCL}});
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  ProgramResult run(std::vector<std::string> arguments, const Scene& scene = {}) {
    std::vector<std::string> all = {"--model", demo_model(),  "-p",          kDemoPrompt,
                                    "--steps", "2",           "--frames",    "9",
                                    "-o",      path("v.mp4"), "--overwrite", "--json"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return run_here(all, scene);
  }
  ProgramResult run_here(const std::vector<std::string>& arguments, const Scene& scene) {
    return run_cogvx_gen({.arguments = arguments,
                          .shell = "shift; " + variables_ + " COGVX_FAKE_CUDA='" + scene.devices +
                                   "' COGVX_FAKE_CUDA_OPS='" + scene.ops + "' exec " +
                                   path("bin/cogvx-gen") + " \"$@\""});
  }
  ProgramResult run_batch(const std::vector<std::string>& arguments) {
    std::vector<std::string> all = {"--model", demo_model(), "--overwrite", "--json"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return run_here(all, {});
  }
  json made(std::vector<std::string> arguments, const Scene& scene = {}) {
    const ProgramResult result = run(std::move(arguments), scene);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.exit_code == 0 ? json::parse(result.out) : json();
  }

  // So small that weights, and with them denoising, need most.
  static std::vector<std::string> on_gpu(const std::vector<std::string>& more = {}) {
    std::vector<std::string> all = {"--device", "cuda",    "--dtype",
                                    "bf16",     "--width", "32",
                                    "--height", "32",      "--allow-untrained-size"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  void leave_free(int64_t bytes) { variables_ = "COGVX_FAKE_CUDA_FREE=" + std::to_string(bytes); }

  TemporaryFolder folder_;
  std::string variables_;
};

// The stage that needs most.
int64_t largest(const json& run, const char* what) {
  int64_t most = 0;
  for (const auto& stage : run.at(what).at(0)) most = std::max(most, stage.get<int64_t>());
  return most;
}

TEST_F(GpuRun, GivesTheVideoOfItsOpsAndRecordsTheGpu) {
  const json cpu = made({"--dtype", "fp32"});
  const json gpu = made({"--dtype", "fp32", "--device", "cuda"});
  EXPECT_EQ(gpu.at("sha256_latents"), cpu.at("sha256_latents"));
  EXPECT_EQ(gpu.at("sha256_frames"), cpu.at("sha256_frames"));
  EXPECT_EQ(gpu.at("placement").at("device"), "cuda");
  EXPECT_EQ(cpu.at("engine").contains("gpu"), false);
  EXPECT_EQ(gpu.at("engine").at("device"), "cuda");
  EXPECT_EQ(gpu.at("engine").at("gpu"), (json{{"name", "New One"},
                                              {"compute_capability", "9.0"},
                                              {"multiprocessors", 132},
                                              {"driver", "13.1"},
                                              {"cuda", "13.0"},
                                              {"cudnn", "9.19.0"},
                                              {"cublaslt", "13.1.0"}}));
  EXPECT_TRUE(cpu.at("peak_device_memory_bytes").at(0).empty());
  for (const char* stage : {"encode_text", "denoise", "decode"}) {
    EXPECT_GT(gpu.at("peak_device_memory_bytes").at(0).value(stage, 0), 0) << stage;
  }
}

TEST_F(GpuRun, AnImageGivesTheVideoOfItsOps) {
  write_runnable_checkpoint("tiny-5b-i2v", path("model"));
  io::write_png(path("a.png"), noise_frames(1, {128, 64}, /*seed=*/1).view()[0]);
  const std::vector<std::string> flags = {"--model", path("model"), "--dtype",
                                          "fp32",    "--image",     path("a.png")};
  const auto on = [&](const char* device, const std::vector<std::string>& more = {}) {
    std::vector<std::string> all = flags;
    all.insert(all.end(), {"--device", device});
    all.insert(all.end(), more.begin(), more.end());
    return made(all);
  };
  const json cpu = on("cpu");
  for (const char* offload : {"none", "sequential"}) {
    const json gpu = on("cuda", {"--offload", offload});
    EXPECT_EQ(gpu.at("sha256_latents"), cpu.at("sha256_latents")) << offload;
    EXPECT_EQ(gpu.at("sha256_frames"), cpu.at("sha256_frames")) << offload;
    EXPECT_GT(gpu.at("peak_device_memory_bytes").at(0).value("encode_video", 0), 0);
    EXPECT_LT(gpu.at("peak_device_memory_bytes").at(0).at("encode_video").get<int64_t>(),
              gpu.at("predicted_device_memory_bytes").at(0).at("encode_video").get<int64_t>());
  }
}

TEST_F(GpuRun, ALoraIsFusedBeforeWeightsLieOnTheGpu) {
  write_runnable_checkpoint("tiny-2b", path("model"));
  const std::string lora =
      (source_dir() / "tests/goldens/lora/tiny-2b.mixed_alpha.safetensors").string();
  const std::vector<std::string> bare = {"--model", path("model"), "--dtype", "fp32"};
  std::vector<std::string> adapted = bare;
  adapted.insert(adapted.end(), {"--lora", lora});
  const json cpu = made(adapted);
  EXPECT_NE(cpu.at("sha256_latents"), made(bare).at("sha256_latents"));
  adapted.insert(adapted.end(), {"--device", "cuda"});
  EXPECT_EQ(made(adapted).at("sha256_latents"), cpu.at("sha256_latents"));
}

TEST_F(GpuRun, OffloadChangesTheDevicesMemoryAndNoByte) {
  std::map<std::string, json> runs;
  for (const char* offload : {"none", "model", "sequential", "auto"})
    runs[offload] = made(on_gpu({"--offload", offload}));
  // Less than the margin alone.
  leave_free(1 << 30);
  runs["auto on a small GPU"] = made(on_gpu());
  const json& none = runs["none"];
  for (const auto& [offload, run] : runs) {
    SCOPED_TRACE(offload);
    EXPECT_EQ(run.at("sha256_latents"), none.at("sha256_latents"));
    EXPECT_EQ(run.at("sha256_frames"), none.at("sha256_frames"));
    EXPECT_EQ(run.at("request"), none.at("request"));
    EXPECT_EQ(run.at("engine"), none.at("engine"));
    const bool by_layer = offload == "sequential" || offload == "auto on a small GPU";
    EXPECT_EQ(run.at("placement").at("offload"), by_layer ? "sequential" : "none");
    const json& like = runs[by_layer ? "sequential" : "none"];
    for (const char* what : {"peak_device_memory_bytes", "predicted_device_memory_bytes"})
      EXPECT_EQ(run.at(what), like.at(what));
    for (const char* stage : {"encode_text", "denoise", "decode"}) {
      EXPECT_LT(run.at("peak_device_memory_bytes").at(0).at(stage).get<int64_t>(),
                run.at("predicted_device_memory_bytes").at(0).at(stage).get<int64_t>());
    }
  }
  const auto denoise_peak = [](const json& run) {
    return run.at("peak_device_memory_bytes").at(0).at("denoise").get<int64_t>();
  };
  EXPECT_LT(denoise_peak(runs["sequential"]), denoise_peak(none));
}

TEST_F(GpuRun, AutoSaysWhyWeightsComeLayerByLayerAndOnAGpuOfItsOwnNothing) {
  const ProgramResult roomy = run(on_gpu());
  EXPECT_EQ(roomy.exit_code, 0) << roomy.err;
  EXPECT_EQ(roomy.err.find("--offload"), std::string::npos) << roomy.err;
  leave_free(1 << 30);
  const std::string said = run(on_gpu()).err;
  EXPECT_NE(said.find("using --offload sequential"), std::string::npos) << said;
  EXPECT_NE(said.find("1.07 GB are free"), std::string::npos) << said;
}

TEST_F(GpuRun, ABatchKeepsWhatFitsTogetherAndLoadsAnewWhatDoesNot) {
  io::write_text_file(path("b.txt"), "x\ny\nz\n");
  std::string said;
  const auto batch = [&](const char* offload) {
    const ProgramResult result =
        run_batch(on_gpu({"--offload", offload, "--batch", path("b.txt"), "-o", path("{index}.mp4"),
                          "--steps", "2", "--frames", "9"}));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    said = result.err;
    std::vector<json> videos;
    std::istringstream lines(result.out);
    for (std::string line; std::getline(lines, line);) videos.push_back(json::parse(line));
    return videos;
  };
  const std::vector<json> kept = batch("none");
  ASSERT_EQ(kept.size(), 3u);
  EXPECT_EQ(kept.back().at("loads").at("transformer"), 1);
  EXPECT_EQ(kept.back().at("loads").at("vae"), 1);
  leave_free(largest(kept.back(), "predicted_device_memory_bytes") - 1);
  const std::vector<json> anew = batch("none");
  ASSERT_EQ(anew.size(), 3u);
  EXPECT_EQ(anew.back().at("loads").at("transformer"), 3);
  EXPECT_EQ(anew.back().at("loads").at("vae"), 3);
  EXPECT_NE(said.find("each is loaded anew for every video"), std::string::npos) << said;
  const std::vector<json> by_layer = batch("sequential");
  ASSERT_EQ(by_layer.size(), 3u);
  for (size_t i = 0; i < kept.size(); ++i) {
    for (const std::vector<json>* run : {&kept, &anew, &by_layer}) {
      const json& video = run->at(i);
      EXPECT_EQ(video.at("sha256_frames"), kept[i].at("sha256_frames"));
      for (const char* stage : {"denoise", "decode"}) {
        EXPECT_LE(video.at("peak_device_memory_bytes").at(0).at(stage),
                  video.at("predicted_device_memory_bytes").at(0).at(stage))
            << stage;
      }
    }
  }
  leave_free(1 << 20);
  EXPECT_EQ(run_batch(on_gpu({"--batch", path("b.txt"), "-o", path("x{index}.mp4")})).exit_code, 5);
}

TEST_F(GpuRun, EachRankHasAPredictionOfItsOwnAndStaysBelowIt) {
  const json run = made({"--device", "cuda", "--dtype", "bf16", "--cp", "2", "--sp", "2"},
                        {.devices = "4 new devices"});
  ASSERT_FALSE(run.empty());
  const json& found = run.at("peak_device_memory_bytes");
  const json& plans = run.at("predicted_device_memory_bytes");
  ASSERT_EQ(plans.size(), 4u);
  for (size_t rank = 0; rank < 4; ++rank) {
    SCOPED_TRACE(rank);
    EXPECT_EQ(plans[rank].contains("encode_text"), rank == 0);
    for (const char* stage : {"denoise", "decode"})
      EXPECT_LT(found[rank].value(stage, int64_t{0}), plans[rank].at(stage).get<int64_t>());
  }
  // Blocks of 64 rows and five heads are not dealt evenly; both branches are.
  EXPECT_NE(plans[0].at("denoise"), plans[1].at("denoise"));
  EXPECT_EQ(plans[0].at("denoise"), plans[2].at("denoise"));
}

TEST_F(GpuRun, WhatDoesNotFitIsRefusedBeforeAnyWeightIsRead) {
  const int64_t whole =
      largest(made(on_gpu({"--offload", "none"})), "predicted_device_memory_bytes");
  // An Ops that cannot be made would be another refusal: nobody has come so far.
  const auto refused_run = [&](const std::string& offload) {
    return run(on_gpu({"--offload", offload}), {.ops = "broken"});
  };
  leave_free(whole - 1);
  for (const char* offload : {"none", "model"}) {
    const ProgramResult refused = refused_run(offload);
    EXPECT_EQ(refused.exit_code, 5) << refused.err;
    EXPECT_NE(refused.err.find(std::string("memory with --offload ") + offload), std::string::npos)
        << refused.err;
  }
  leave_free(1 << 20);
  for (const char* offload : {"auto", "sequential"}) {
    const ProgramResult refused = refused_run(offload);
    EXPECT_EQ(refused.exit_code, 5) << refused.err;
    EXPECT_NE(refused.err.find("0.00 GB are free; use fewer --frames"), std::string::npos)
        << refused.err;
    EXPECT_EQ(std::count(refused.err.begin(), refused.err.end(), '\n'), 1) << refused.err;
  }
}

// Every process has a device of its own, and the sequence moves from one to the other.
TEST_F(GpuRun, AnyNumberOfGpusGivesTheBytesOfOne) {
  const json one = made({"--device", "cuda", "--dtype", "bf16"});
  ASSERT_FALSE(one.empty());
  const std::vector<std::vector<std::string>> placements = {
      {"--sp", "2"}, {"--cp", "2"}, {"--cp", "2", "--sp", "2"}, {"--sp", "4"}};
  for (std::vector<std::string> arguments : placements) {
    arguments.insert(arguments.end(), {"--device", "cuda", "--dtype", "bf16"});
    const json several = made(arguments, {.devices = "4 new devices"});
    ASSERT_FALSE(several.empty());
    EXPECT_EQ(several.at("sha256_latents"), one.at("sha256_latents"));
    EXPECT_EQ(several.at("sha256_frames"), one.at("sha256_frames"));
    EXPECT_EQ(several.at("engine"), one.at("engine"));
    EXPECT_EQ(several.at("kernels"), one.at("kernels"));
  }
}

TEST_F(GpuRun, KernelsThatVaryAreCalledSoThatTheirBytesDoNot) {
  const Scene varies{.ops = "varies", .devices = "4 new devices"};
  const json one = made({"--device", "cuda", "--dtype", "fp32"}, varies);
  const json four = made({"--device", "cuda", "--dtype", "fp32", "--sp", "4"}, varies);
  ASSERT_FALSE(one.empty() || four.empty());
  EXPECT_EQ(four.at("sha256_frames"), one.at("sha256_frames"));
  EXPECT_EQ(four.at("kernels"), one.at("kernels"));
  ASSERT_EQ(one.at("kernels").size(), 8u);
  for (const json& kernel : one.at("kernels")) {
    const auto layer = kernel.at("layer").get<std::string>();
    // All of the text is in one block, so there is no second way to share it out.
    const std::string way = layer.starts_with("attention (") ? "one head per call"
                            : layer.starts_with("text")      ? "whole shards"
                                                             : "chunks of 512 rows";
    EXPECT_EQ(kernel.at("way"), way) << kernel;
    EXPECT_EQ(kernel.at("reason") == "", way == "whole shards") << kernel;
  }
}

TEST_F(GpuRun, WhatAGpuCannotDoIsSaidInOneLine) {
  struct Case {
    int code;
    const char* says;
    std::vector<std::string> arguments;
    const char* ops;
    const char* devices = "two devices";
  };
  const std::vector<Case> cases = {
      {2, "is a GPU's kernel", {"--attention", "flash"}, ""},
      {2, "computes in bf16", {"--device", "cuda", "--dtype", "fp32", "--attention", "cudnn"}, ""},
      {2,
       "only whole heads",
       {"--device", "cuda", "--sp", "2", "--sp-mode", "gather"},
       "",
       "4 new devices"},
      {4, "compute capability 6.0, wanted 8.0", {"--device", "cuda", "--sp", "2"}, ""},
      {4,
       "shows 2 GPUs (CUDA_VISIBLE_DEVICES is not set) and runs 4 processes",
       {"--device", "cuda", "--sp", "2", "--cp", "2"},
       ""},
      {4,
       "ranks 0 and 1 are both on GPU GPU-0 of host",
       {"--device", "cuda", "--sp", "2"},
       "",
       "1 new devices"},
      {4, "illegal instruction", {"--device", "cuda"}, "broken"},
      {4, "interface 9", {"--device", "cuda"}, "other build"},
      {5, "no memory left to start", {"--device", "cuda"}, "full"}};
  for (const Case& c : cases) {
    const ProgramResult result = run(c.arguments, {.ops = c.ops, .devices = c.devices});
    EXPECT_EQ(result.exit_code, c.code) << result.err;
    EXPECT_NE(result.err.find(c.says), std::string::npos) << result.err;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  }
  EXPECT_FALSE(fs::exists(path("v.mp4")));
}

}  // namespace
}  // namespace cogvx
