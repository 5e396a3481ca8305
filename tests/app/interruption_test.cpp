#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <fcntl.h>
#include <unistd.h>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "tests/support/demo_run.h"
#include "tests/support/program.h"

// Runs that end before their time, and what they leave to go on from.
namespace cogvx::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using std::chrono::milliseconds;

constexpr char kSteps[] = "12";

class Interruption : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  // The command that is interrupted and given again.
  std::vector<std::string> command(const std::string& scheduler) const {
    return {"--model",
            demo_model(),
            "-p",
            kDemoPrompt,
            "--steps",
            kSteps,
            "--scheduler",
            scheduler,
            "--progress",
            "json",
            "--checkpoint-every",
            "1",
            "--json",
            "-o",
            path("v.mp4"),
            "--frames-dir",
            path("frames")};
  }
  static json finished(const std::vector<std::string>& arguments) {
    const ProgramResult result = run_cogvx_gen(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return json::parse(result.out, nullptr, /*allow_exceptions=*/false);
  }
  // What an uninterrupted run gives.
  json reference(const std::string& scheduler) {
    json& report = references_[scheduler];
    if (!report.is_null()) return report;
    std::vector<std::string> arguments = command(scheduler);
    arguments.insert(arguments.end(),
                     {"-o", path("reference.mp4"), "--frames-dir", path("reference")});
    report = finished(arguments);
    for (const char* name : {"reference.mp4", "reference.json", "reference"})
      fs::remove_all(folder_ / name);
    return report;
  }
  void expect_reference(const json& report, const std::string& scheduler) {
    EXPECT_EQ(report["sha256_latents"], reference(scheduler)["sha256_latents"]) << scheduler;
    EXPECT_EQ(report["sha256_frames"], reference(scheduler)["sha256_frames"]) << scheduler;
  }
  void expect_only_results() const {
    EXPECT_EQ(names_in(folder_.path()), (std::vector<std::string>{"frames", "v.json", "v.mp4"}));
    EXPECT_EQ(names_in(folder_ / "frames").size(), 17U);
  }
  // Goes on after a kill as a user would, and wants the reference's bytes.
  void go_on(const std::string& scheduler) {
    const bool complete = fs::exists(folder_ / "v.mp4") && names_in(folder_.path()).size() == 3;
    if (complete) {
      expect_reference(json::parse(read_file(folder_ / "v.json")), scheduler);
    } else {
      std::vector<std::string> again = command(scheduler);
      if (fs::exists(folder_ / "v.state.safetensors"))
        again.insert(again.end(), {"--resume", path("v.state.safetensors"), "--threads", "1"});
      expect_reference(finished(again), scheduler);
    }
    expect_only_results();
    for (const char* name : {"v.mp4", "v.json", "frames"}) fs::remove_all(folder_ / name);
  }

  TemporaryFolder folder_;
  std::map<std::string, json> references_;
};

int moments_per_place() { return std::getenv("COGVX_LONG") != nullptr ? 5 : 2; }

// Kills at a random moment after a stage began; false where the run was over by then.
bool kill_after(const std::vector<std::string>& arguments, const std::string& stage,
                milliseconds delay) {
  const ProgramResult result = run_and_act({.arguments = arguments}, "\"stage\":\"" + stage + "\"",
                                           [&](const Program& program) {
                                             std::this_thread::sleep_for(delay);
                                             program.send(SIGKILL);
                                           });
  return result.exit_code == 128 + SIGKILL;
}

TEST_F(Interruption, AfterAKillInAnyStageTheRunGoesOnToTheSameBytes) {
  std::mt19937 random(20261123);
  const std::vector<std::pair<std::string, int>> stages = {
      {"load", 10}, {"encode_text", 10}, {"denoise", 300}, {"decode", 200}, {"write", 60}};
  for (const std::string scheduler : {"ddim", "dpm"}) {
    for (const auto& [stage, longest] : stages) {
      for (int i = 0; i < moments_per_place();) {
        const milliseconds delay(std::uniform_int_distribution<int>(0, longest)(random));
        SCOPED_TRACE(scheduler + ", " + stage + " + " + std::to_string(delay.count()) + " ms");
        const bool killed = kill_after(command(scheduler), stage, delay);
        if (killed) ++i;
        go_on(scheduler);
      }
    }
  }
}

TEST_F(Interruption, AfterAKillInTheWritingOfAFileTheRunGoesOnToTheSameBytes) {
  std::mt19937 random(20261124);
  struct Place {
    const char* file;
    int writes;  // calls of write for all such files of a run
  };
  // Twelve states of prefix, latents, generator and, with dpm, x0.
  const std::vector<Place> places = {
      {".v.state.safetensors", 36}, {".v.latents.safetensors", 2}, {".v.mp4", 2}, {".v.json", 1}};
  for (const std::string scheduler : {"ddim", "dpm"}) {
    for (const Place& place : places) {
      for (int i = 0; i < moments_per_place(); ++i) {
        const std::string call = std::vector<std::string>{"write", "fsync", "rename"}[i % 3];
        const int calls = call == "write" ? place.writes : (place.writes + 2) / 3;
        const int at = std::uniform_int_distribution<int>(1, calls)(random);
        SCOPED_TRACE(scheduler + ", " + call + " " + std::to_string(at) + " of " + place.file);
        const std::string world =
            in_hostile_world("COGVX_TEST_KILL=" + call + " COGVX_TEST_KILL_FILE='" + place.file +
                             "' COGVX_TEST_KILL_AT=" + std::to_string(at));
        const ProgramResult result =
            run_cogvx_gen({.arguments = command(scheduler), .input = {}, .shell = world});
        ASSERT_EQ(result.exit_code, 128 + SIGKILL) << result.err;
        go_on(scheduler);
      }
    }
  }
}

TEST_F(Interruption, ASignalSavesTheLastFinishedStepAndTheExitCodeNamesIt) {
  for (const auto& [scheduler, signal] :
       std::map<std::string, int>{{"ddim", SIGINT}, {"dpm", SIGTERM}}) {
    std::vector<std::string> arguments = {
        "--model",    demo_model(), "-p", kDemoPrompt,  "--scheduler",
        scheduler,    "--steps",    "60", "--dtype",    scheduler == "dpm" ? "bf16" : "fp32",
        "--progress", "json",       "-o", path("v.mp4")};
    const ProgramResult result =
        run_and_act({.arguments = arguments}, kFourthStep,
                    [&, &sent = signal](const Program& program) { program.send(sent); });
    EXPECT_EQ(result.exit_code, 128 + signal) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_NE(result.err.find("go on with --resume"), std::string::npos) << result.err;
    EXPECT_EQ(names_in(folder_.path()), std::vector<std::string>{"v.state.safetensors"});
    // The state brings its request: no prompt is needed.
    const json resumed = finished({"--model", demo_model(), "--resume", path("v.state.safetensors"),
                                   "-o", path("v.mp4"), "--json"});
    arguments.insert(arguments.end(), {"-o", path("whole.mp4"), "--json"});
    const json whole = finished(arguments);
    EXPECT_EQ(resumed["sha256_frames"], whole["sha256_frames"]);
    EXPECT_EQ(resumed["request"], whole["request"]);
    EXPECT_GE(resumed["continued_from"]["step"], 3);
    EXPECT_LT(resumed["units"][0]["row_blocks"], whole["units"][0]["row_blocks"]);
    EXPECT_TRUE(read_file(folder_ / "v.mp4") == read_file(folder_ / "whole.mp4"));
    for (const std::string& name : names_in(folder_.path())) fs::remove(folder_ / name);
  }
}

TEST_F(Interruption, ASignalWhileDecodingLeavesTheLatents) {
  const std::vector<std::string> arguments = command("ddim");
  const ProgramResult result = run_and_act({.arguments = arguments}, R"("stage":"decode")",
                                           [](const Program& program) { program.send(SIGTERM); });
  EXPECT_EQ(result.exit_code, 128 + SIGTERM) << result.err;
  EXPECT_NE(result.err.find("go on with --decode-latents"), std::string::npos) << result.err;
  EXPECT_EQ(names_in(folder_.path()), std::vector<std::string>{"v.latents.safetensors"});
  expect_reference(finished({"--model", demo_model(), "--decode-latents",
                             path("v.latents.safetensors"), "-o", path("v.mp4"), "--json"}),
                   "ddim");
}

TEST_F(Interruption, ASecondSignalEndsItAtOnce) {
  const std::string fifo = path("fifo");
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  // Held open, so that the program waits in reading and not in opening.
  const int held = open(fifo.c_str(), O_RDWR | O_CLOEXEC);
  Program program(
      {.arguments = {"--model", demo_model(), "--prompt-file", fifo, "-o", path("v.mp4")}});
  std::this_thread::sleep_for(milliseconds(1500));
  program.send(SIGINT);
  std::this_thread::sleep_for(milliseconds(200));
  EXPECT_FALSE(program.ended()) << "the read was not there to be interrupted";
  program.send(SIGINT);
  EXPECT_EQ(program.wait().exit_code, 128 + SIGINT);
  close(held);
  EXPECT_EQ(names_in(folder_.path()), std::vector<std::string>{"fifo"});
}

TEST_F(Interruption, AStateOfAnotherRequestIsRefusedByTheNameOfTheField) {
  const std::vector<std::string> base = {"--model", demo_model(), "-p",         kDemoPrompt,
                                         "--steps", "60",         "--progress", "json",
                                         "-o",      path("v.mp4")};
  run_and_act({.arguments = base}, kFourthStep,
              [](const Program& program) { program.send(SIGINT); });
  const std::string state = path("v.state.safetensors");
  ASSERT_TRUE(fs::exists(state));
  const std::string bytes = read_file(state);
  const std::vector<std::pair<std::vector<std::string>, std::string>> others = {
      {{"-p", "a blue circle"}, "prompt"},   {{"--negative-prompt", "a circle"}, "negative_prompt"},
      {{"--steps", "40"}, "steps"},          {{"--seed", "43"}, "seed"},
      {{"-g", "5"}, "guidance_scale"},       {{"--scheduler", "dpm"}, "scheduler.class"},
      {{"--frames", "9"}, "num_frames"},     {{"--dtype", "bf16"}, "dtype"},
      {{"--vae-tiling", "off"}, "vae_tile"},
  };
  for (const auto& [flags, field] : others) {
    std::vector<std::string> arguments = base;
    arguments.insert(arguments.end(), {"--resume", state});
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    const ProgramResult result = run_cogvx_gen(arguments);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_NE(result.err.find("'" + field), std::string::npos) << field << ": " << result.err;
    EXPECT_TRUE(read_file(state) == bytes) << "the state was touched";
  }
}

TEST_F(Interruption, ANewRunDoesNotOverwriteTheStateOfAnotherRequest) {
  const std::vector<std::string> base = {"--model",    demo_model(), "--steps", "60",
                                         "--progress", "json",       "-o",      path("v.mp4")};
  std::vector<std::string> first = base, second = base;
  first.insert(first.end(), {"-p", kDemoPrompt});
  second.insert(second.end(), {"-p", "a blue circle"});
  run_and_act({.arguments = first}, kFourthStep,
              [](const Program& program) { program.send(SIGINT); });
  const std::string bytes = read_file(folder_ / "v.state.safetensors");
  const ProgramResult refused = run_cogvx_gen(second);
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_NE(refused.err.find("of another request"), std::string::npos) << refused.err;
  EXPECT_TRUE(read_file(folder_ / "v.state.safetensors") == bytes);
}

TEST_F(Interruption, WhenTheVideoCannotBeWrittenTheLatentsAreSafe) {
  const std::vector<std::string> base = {"--model",   demo_model(), "-p",
                                         kDemoPrompt, "--steps",    "4"};
  std::vector<std::string> arguments = base;
  arguments.insert(arguments.end(), {"-o", path("gone/v.mp4"), "--progress", "json"});
  fs::create_directory(folder_ / "gone");
  const ProgramResult result =
      run_and_act({.arguments = arguments,
                   .input = {},
                   .shell = "TMPDIR='" + folder_.path().string() + "' exec \"$@\""},
                  "\"encode_text\"", [&](const Program&) { fs::remove_all(folder_ / "gone"); });
  EXPECT_EQ(result.exit_code, 9) << result.err;
  const std::vector<std::string> left = names_in(folder_.path());
  ASSERT_EQ(left.size(), 1U) << result.err;
  EXPECT_NE(result.err.find("go on with --decode-latents " + path(left[0])), std::string::npos)
      << result.err;
  std::vector<std::string> whole = base;
  whole.insert(whole.end(), {"-o", path("whole.mp4"), "--json"});
  EXPECT_EQ(finished({"--model", demo_model(), "--decode-latents", path(left[0]), "-o",
                      path("v.mp4"), "--json"})["sha256_frames"],
            finished(whole)["sha256_frames"]);
}

}  // namespace
}  // namespace cogvx::test
