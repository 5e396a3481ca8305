// A run with --device cuda from prompt to file, where the plugins are fakes: the small one names
// devices, the other computes the CPU's formulas on a device of ATen's own.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "tests/support/demo_run.h"
#include "tests/support/program.h"

namespace cogvx {
namespace {
namespace fs = std::filesystem;
using namespace test;
using nlohmann::json;

class GpuRun : public testing::Test {
 protected:
  GpuRun() {
    fs::create_directories(folder_ / "bin");
    fs::create_directories(folder_ / "lib");
    fs::copy_file(build_dir() / "app" / "cogvx-gen", folder_ / "bin" / "cogvx-gen");
    fs::create_symlink(COGVX_FAKE_CUDA_PLUGIN, folder_ / "lib" / "libcogvx_cuda.so");
    fs::create_symlink(COGVX_FAKE_CUDA_OPS_PLUGIN, folder_ / "lib" / "libcogvx_cuda_ops.so");
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  ProgramResult run(std::vector<std::string> arguments, const std::string& scene = "") {
    std::vector<std::string> all = {"--model", demo_model(),  "-p",          kDemoPrompt,
                                    "--steps", "2",           "--frames",    "9",
                                    "-o",      path("v.mp4"), "--overwrite", "--json"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return run_cogvx_gen({.arguments = all,
                          .shell = "shift; COGVX_FAKE_CUDA='two devices' COGVX_FAKE_CUDA_OPS='" +
                                   scene + "' exec " + path("bin/cogvx-gen") + " \"$@\""});
  }
  json made(std::vector<std::string> arguments) {
    const ProgramResult result = run(std::move(arguments));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.exit_code == 0 ? json::parse(result.out) : json();
  }

  TemporaryFolder folder_;
};

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

TEST_F(GpuRun, OffloadChangesTheDevicesMemoryAndNoByte) {
  const json none = made({"--device", "cuda", "--dtype", "bf16", "--offload", "none"});
  const json model = made({"--device", "cuda", "--dtype", "bf16", "--offload", "model"});
  const json sequential = made({"--device", "cuda", "--dtype", "bf16", "--offload", "sequential"});
  for (const json* other : {&model, &sequential}) {
    EXPECT_EQ(other->at("sha256_latents"), none.at("sha256_latents"));
    EXPECT_EQ(other->at("sha256_frames"), none.at("sha256_frames"));
    EXPECT_EQ(other->at("request"), none.at("request"));
    EXPECT_EQ(other->at("engine"), none.at("engine"));
  }
  const auto denoise_peak = [](const json& run) {
    return run.at("peak_device_memory_bytes").at(0).at("denoise").get<int64_t>();
  };
  EXPECT_LT(denoise_peak(sequential), denoise_peak(none));
  EXPECT_EQ(sequential.at("placement").at("offload"), "sequential");
}

TEST_F(GpuRun, WhatAGpuCannotDoIsSaidInOneLine) {
  struct Case {
    int code;
    const char* says;
    std::vector<std::string> arguments;
    const char* scene;
  };
  const std::vector<Case> cases = {
      {2, "is a GPU's kernel", {"--attention", "flash"}, ""},
      {2, "computes in bf16", {"--device", "cuda", "--dtype", "fp32", "--attention", "cudnn"}, ""},
      {4, "one process computes on one GPU", {"--device", "cuda", "--sp", "2"}, ""},
      {4, "illegal instruction", {"--device", "cuda"}, "broken"},
      {4, "interface 9", {"--device", "cuda"}, "other build"},
      {5, "no memory left to start", {"--device", "cuda"}, "full"}};
  for (const Case& c : cases) {
    const ProgramResult result = run(c.arguments, c.scene);
    EXPECT_EQ(result.exit_code, c.code) << result.err;
    EXPECT_NE(result.err.find(c.says), std::string::npos) << result.err;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  }
  EXPECT_FALSE(fs::exists(path("v.mp4")));
}

}  // namespace
}  // namespace cogvx
