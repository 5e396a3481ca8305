// --plan against what runs report: units and bytes exactly, memory within 15 %.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <ostream>
#include <sstream>

#include "io/png.h"
#include "tests/support/demo_run.h"
#include "tests/support/program.h"
#include "tests/support/runnable_model.h"

namespace cogvx::test {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

Flags demo(const Flags& more) {
  return with({"--model", demo_model(), "-p", kDemoPrompt, "--threads", "1", "--json"}, more);
}

json asked(const Flags& flags) {
  const ProgramResult result = run_cogvx_gen(with(flags, {"--plan"}));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return json::parse(result.out, nullptr, /*allow_exceptions=*/false);
}

struct PlanCase {
  const char* name;
  const char* recipe;  // null: the demo model
  Flags flags;
};
void PrintTo(const PlanCase& c, std::ostream* out) { *out << c.name; }

const PlanCase kCases[] = {
    {"OneProcess", nullptr, {"--steps", "2"}},
    {"Rows", nullptr, {"--steps", "2", "--sp", "2", "--vae-tile", "48x40"}},
    {"UnevenRows", nullptr, {"--steps", "2", "--sp", "3", "--vae-tile", "48x40"}},
    // Three heads, of which two processes share one.
    {"SplitHeads",
     "tiny-2b",
     {"--steps", "2", "--sp", "2", "--frames", "49", "--width", "192", "--height", "128",
      "--vae-tile", "48x40", "--allow-untrained-size"}},
    {"Branches", nullptr, {"--steps", "2", "--cp", "2"}},
    {"Both", nullptr, {"--steps", "3", "--cp", "2", "--sp", "2", "--scheduler", "dpm"}},
    {"Gather", nullptr, {"--steps", "2", "--sp", "2", "--sp-mode", "gather", "--dtype", "bf16"}},
    {"OneBranch", nullptr, {"--steps", "2", "-g", "1", "--sp", "2"}},
    {"Video",
     nullptr,
     {"--steps", "4", "--sp", "2", "--video", "{}/clip", "--strength", "0.5", "--vae-tile",
      "48x40"}},
    {"Image", "tiny-5b-i2v", {"--steps", "2", "--sp", "2", "--image", "{}/a.png"}},
    {"Control", "tiny-fun-2b", {"--steps", "2", "--cp", "2", "--video", "{}/clip"}},
    {"Padded",
     "tiny-1.5",
     {"--steps", "2", "--sp", "2", "--frames", "9", "--width", "64", "--height", "64",
      "--allow-untrained-size"}}};

class Plan : public testing::TestWithParam<PlanCase> {
 protected:
  Plan() {
    if (GetParam().recipe != nullptr)
      write_runnable_checkpoint(GetParam().recipe, folder_ / "model");
    io::write_png(folder_ / "a.png", noise_frames(1, {80, 60}, /*seed=*/1).view()[0]);
    io::write_png_frames(folder_ / "clip", noise_frames(17, {80, 60}, /*seed=*/3).view());
  }
  Flags flags() const {
    Flags all = demo(GetParam().flags);
    if (GetParam().recipe != nullptr) all[1] = (folder_ / "model").string();
    for (std::string& flag : all) {
      if (flag.starts_with("{}")) flag = folder_.path().string() + flag.substr(2);
    }
    return all;
  }
  json made() const {
    const ProgramResult result =
        run_cogvx_gen(with(flags(), {"-o", (folder_ / "v.mp4").string(), "--progress", "none"}));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return json::parse(result.out, nullptr, /*allow_exceptions=*/false);
  }

  TemporaryFolder folder_;
};

// What the plan says of each process beside what the run reports.
void expect_units_and_bytes(const json& plan, const json& run) {
  ASSERT_TRUE(plan.is_object());
  ASSERT_TRUE(run.is_object());
  ASSERT_EQ(plan.at("ranks").size(), run.at("units").size());
  for (size_t rank = 0; rank < run.at("units").size(); ++rank) {
    EXPECT_EQ(plan.at("ranks")[rank].at("units"), run.at("units")[rank]) << "rank " << rank;
    EXPECT_EQ(plan.at("ranks")[rank].at("bytes_sent"), run.at("bytes_sent")[rank])
        << "rank " << rank;
  }
}

// A process's own prediction is that of its share, as the plan's.
void expect_predictions(const json& plan, const json& run) {
  for (size_t rank = 0; rank < plan.at("ranks").size(); ++rank) {
    const json& planned = plan.at("ranks")[rank].at("predicted_memory_bytes");
    for (const auto& [stage, predicted] : run.at("predicted_memory_bytes")[rank].items())
      EXPECT_EQ(predicted, planned.at(stage)) << stage << " of rank " << rank;
  }
}

void expect_peaks(const json& plan, const json& run) {
  for (size_t rank = 0; rank < plan.at("ranks").size(); ++rank) {
    for (const auto& [stage, predicted] :
         plan.at("ranks")[rank].at("predicted_memory_bytes").items()) {
      if (!run.at("peak_memory_bytes")[rank].contains(stage)) continue;
      const auto measured = run.at("peak_memory_bytes")[rank].at(stage).get<double>();
      EXPECT_NEAR(predicted.get<double>() / measured, 1, 0.15)
          << stage << " of rank " << rank << ": planned " << predicted << ", was " << measured;
    }
  }
}

TEST_P(Plan, SaysTheUnitsBytesAndPeaksThatTheRunReports) {
  const json plan = asked(flags()), run = made();
  expect_units_and_bytes(plan, run);
  // Hashes of what was read are not known before; all else of the request is.
  json asked_for = plan.at("request"), made = run.at("request");
  for (const char* read : {"checkpoint", "input_sha256"}) {
    asked_for.erase(read);
    made.erase(read);
  }
  EXPECT_EQ(asked_for, made);
  EXPECT_EQ(plan.at("placement"), run.at("placement"));
  expect_predictions(plan, run);
// Under sanitizers memory says nothing.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  expect_peaks(plan, run);
#endif
}

INSTANTIATE_TEST_SUITE_P(Runs, Plan, testing::ValuesIn(kCases),
                         [](const auto& row) { return std::string(row.param.name); });

void expect_narrow(const std::string& text) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 100U) << line;
}

TEST(PlanText, SaysWhatSomebodyAboutToSpendHoursWantsToKnow) {
  const ProgramResult result = run_cogvx_gen({"--model", demo_model(), "-p", kDemoPrompt, "--plan",
                                              "--sp", "2", "--dynamic-cfg", "on", "--steps", "4"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  for (const char* words :
       {"custom, text to video: 17 frames of 96x64, fp32, 4 steps of ddim, seed 42",
        "136 rows: 16 of text, 120 of video", "dynamic, by step: ", "2 processes of",
        "from a measurement of 2 s", "H200 SXM", "RTX 4090", "estimate, unmeasured", "denoise",
        "\n  rank 1 "})
    EXPECT_THAT(result.out, HasSubstr(words));
  expect_narrow(result.out);
}

class PlanOfSavedRun : public testing::Test {
 protected:
  std::string path(const char* name) const { return (folder_ / name).string(); }
  json made(const Flags& flags) const {
    const ProgramResult result = run_cogvx_gen(with(flags, {"--overwrite", "-o", path("v.mp4")}));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return json::parse(result.out, nullptr, /*allow_exceptions=*/false);
  }

  TemporaryFolder folder_;
};

TEST_F(PlanOfSavedRun, LatentsAreOnlyDecoded) {
  made(demo({"--steps", "2", "--save-latents", path("latents")}));
  const Flags flags =
      demo({"--decode-latents", path("latents"), "--sp", "2", "--vae-tile", "48x40"});
  const json plan = asked(flags);
  expect_units_and_bytes(plan, made(flags));
  EXPECT_EQ(plan.at("timesteps"), json::array());
  EXPECT_EQ(plan.at("flop").at("step"), 0);
  EXPECT_EQ(plan.at("flop").at("encode_text"), 0);
  EXPECT_THAT(
      run_cogvx_gen(with(demo({"--decode-latents", path("latents"), "--seed", "7"}), {"--plan"}))
          .err,
      HasSubstr("'seed' is 42 there, this command says 7"));
}

TEST_F(PlanOfSavedRun, AStateIsPlannedFromItsStepOn) {
  const Flags request = demo({"--steps", "30", "--scheduler", "dpm", "--cp", "2"});
  const ProgramResult stopped =
      run_and_act({.arguments = with(request, {"-o", path("v.mp4"), "--progress", "json"})},
                  kFourthStep, [](const Program& program) { program.send(SIGINT); });
  ASSERT_EQ(stopped.exit_code, 128 + SIGINT) << stopped.err;
  std::filesystem::rename(path("v.state.safetensors"), path("state"));
  const Flags flags = with(request, {"--resume", path("state")});
  const json plan = asked(flags);
  expect_units_and_bytes(plan, made(flags));
  EXPECT_GE(plan.at("first_step"), 3);
  EXPECT_EQ(plan.at("timesteps").size() + plan.at("first_step").get<size_t>(), 30U);
  EXPECT_EQ(plan.at("guidance").size(), plan.at("timesteps").size());
}

TEST(PlanOfAStep, IsWhatOneStepMoreSends) {
  const auto bytes = [](const char* steps, const char* which) {
    const json plan =
        asked(demo({"--steps", steps, "--scheduler", "dpm", "--cp", "2", "--sp", "2"}));
    std::vector<json> ranks;
    for (const json& rank : plan.at("ranks")) ranks.push_back(rank.at(which));
    return ranks;
  };
  const std::vector<json> four = bytes("4", "bytes_sent"), five = bytes("5", "bytes_sent");
  const std::vector<json> step = bytes("4", "bytes_sent_in_a_step");
  for (size_t rank = 0; rank < step.size(); ++rank) {
    for (const auto& [what, sent] : step[rank].items()) {
      EXPECT_EQ(five[rank].at(what).get<int64_t>() - four[rank].at(what).get<int64_t>(), sent)
          << what << " of rank " << rank;
    }
  }
  EXPECT_GT(step[0].at("once"), 0) << "its noise";
}

std::string as_rank(const char* rank) {
  return std::string("RANK=") + rank +
         " WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=1 exec \"$@\"";
}

TEST(PlanText, OfALaunchersProcessesTheFirstAnswers) {
  const Flags flags = with(demo({"--sp", "2", "--steps", "2"}), {"--plan"});
  const ProgramResult first =
      run_cogvx_gen({.arguments = flags, .input = {}, .shell = as_rank("0")});
  EXPECT_EQ(json::parse(first.out, nullptr, /*allow_exceptions=*/false).value("cogvx_plan", 0), 1);
  const ProgramResult second =
      run_cogvx_gen({.arguments = flags, .input = {}, .shell = as_rank("1")});
  EXPECT_EQ(second.out + second.err, "");
  EXPECT_EQ(second.exit_code, 0);
  EXPECT_EQ(
      run_cogvx_gen({.arguments = with(demo({}), {"--plan"}), .input = {}, .shell = as_rank("0")})
          .exit_code,
      2)
      << "two processes, --cp x --sp is 1";
}

TEST(PlanText, ProcessesWithoutWorkAreNamed) {
  const json notices = asked(demo({"--sp", "5", "--steps", "2"})).at("notices");
  EXPECT_THAT(notices.dump(), HasSubstr("--sp 5 leaves 2 of 5 processes without rows"));
}

// A video that no machine of CI and no GPU but the largest would do: the text tells, by GPU.
TEST(PlanText, ForGpusTheVerdictIsThatOfTheGpus) {
  const Flags flags = {"--model",
                       demo_model(),
                       "-p",
                       "x",
                       "--device",
                       "cuda",
                       "--dtype",
                       "bf16",
                       "--vae-tiling",
                       "off",
                       "--allow-untrained-size",
                       "--steps",
                       "2",
                       "--plan"};
  const auto sized = [&](const char* side, const char* frames) {
    return run_cogvx_gen(with(flags, {"--width", side, "--height", side, "--frames", frames}));
  };
  const ProgramResult some = sized("4096", "9");
  EXPECT_EQ(some.exit_code, 0);
  EXPECT_THAT(some.out, AllOf(HasSubstr("unmeasured  --offload none"),
                              HasSubstr("RTX 4090, CUDA: decode needs about"),
                              Not(HasSubstr("\ndoes not fit: "))));
  const ProgramResult none = sized("8192", "1021");
  EXPECT_EQ(none.exit_code, 5);
  EXPECT_THAT(none.out, AllOf(HasSubstr("\ndoes not fit: H200 SXM, CUDA: "),
                              HasSubstr("note: this machine would refuse it: "),
                              Not(HasSubstr("unmeasured  --offload"))));
  expect_narrow(none.out);
}

TEST(PlanText, WeightsThatComeLayerByLayerTakeTime) {
  const Flags flags = {"--device", "cuda", "--dtype", "bf16", "--steps", "2", "--offload"};
  const json there = asked(demo(with(flags, {"none"})));
  const json coming = asked(demo(with(flags, {"sequential"})));
  for (size_t i = 0; i < there.at("estimates").size(); ++i) {
    const json &a = there.at("estimates")[i], &b = coming.at("estimates")[i];
    EXPECT_EQ(a.at("offload"), "none");
    EXPECT_EQ(b.at("offload"), "sequential");
    EXPECT_GT(b.at("seconds_per_step"), a.at("seconds_per_step"));
  }
}

TEST(PlanText, NeedsNoGpuToPlanForSome) {
  const json plan = asked(demo({"--device", "cuda", "--cp", "2", "--sp", "4", "--dtype", "bf16"}));
  ASSERT_EQ(plan.at("ranks").size(), 8U);
  for (const json& rank : plan.at("ranks")) {
    EXPECT_GT(rank.at("predicted_device_memory_bytes").at("none").at("denoise"), 0);
    EXPECT_GT(rank.at("predicted_device_memory_bytes").at("sequential").at("denoise"), 0);
  }
  ASSERT_EQ(plan.at("estimates").size(), 5U);
  for (const json& device : plan.at("estimates")) {
    EXPECT_EQ(device.at("basis"), "estimate, unmeasured");
    EXPECT_EQ(device.at("offload"), "none");
    EXPECT_GT(device.at("seconds_per_step"), 0);
  }
}

TEST(PlanText, GuidanceIsThatOfEveryStep) {
  const json fixed = asked(demo({"--steps", "3", "-g", "5"}));
  EXPECT_EQ(fixed.at("guidance"), json({5.0, 5.0, 5.0}));
  const json none = asked(demo({"--steps", "3", "-g", "1"}));
  EXPECT_EQ(none.at("branches"), 1);
  const json dynamic = asked(demo({"--steps", "3", "--dynamic-cfg", "on"}));
  ASSERT_EQ(dynamic.at("guidance").size(), dynamic.at("timesteps").size());
  EXPECT_NE(dynamic.at("guidance")[0], dynamic.at("guidance")[1]);
}

TEST(PlanText, WhatDoesNotFitIsSaidWithTheCure) {
  const ProgramResult result = run_cogvx_gen(
      {"--model", demo_model(), "-p", kDemoPrompt, "--plan", "--width", "8192", "--height", "8192",
       "--frames", "1021", "--vae-tiling", "off", "--allow-untrained-size"});
  EXPECT_EQ(result.exit_code, 5);
  EXPECT_THAT(result.out, AllOf(HasSubstr("does not fit: "), HasSubstr("fewer --frames")));
  EXPECT_THAT(result.out, HasSubstr("work          a step "));
}

TEST(PlanText, RefusesWhatTheRunRefuses) {
  EXPECT_EQ(run_cogvx_gen(with(demo({"--width", "65"}), {"--plan"})).exit_code, 2);
  EXPECT_EQ(run_cogvx_gen(with(demo({"--crf", "99"}), {"--plan"})).exit_code, 2);
  EXPECT_THAT(run_cogvx_gen(with(demo({"--cp", "2", "-g", "1"}), {"--plan"})).err,
              HasSubstr("--cp 2 needs two guidance branches"));
  Flags flags = demo({});
  flags[1] = "/nowhere";
  EXPECT_EQ(run_cogvx_gen(with(flags, {"--plan"})).exit_code, 3);
}

}  // namespace
}  // namespace cogvx::test
