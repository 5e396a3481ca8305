#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/support/demo_run.h"
#include "tests/support/free_port.h"
#include "tests/support/program.h"

// Runs of several processes: the bytes of one, and what happens when one is lost.
namespace cogvx::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using std::chrono::milliseconds;

class RanksOf : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::vector<std::string> command(const std::vector<std::string>& more) const {
    std::vector<std::string> arguments = {"--model",   demo_model(), "-p",    kDemoPrompt,
                                          "--threads", "1",          "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  json finished(const std::vector<std::string>& more) const {
    const ProgramResult result = run_cogvx_gen(command(more));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return json::parse(result.out, nullptr, /*allow_exceptions=*/false);
  }
  // Processes whose command line names this test's folder.
  std::vector<pid_t> processes() const { return processes_naming(folder_.path()); }

  TemporaryFolder folder_;
};

TEST_F(RanksOf, EveryCpTimesSpGivesTheVideoOfOneProcess) {
  struct Case {
    std::vector<std::string> request;
    std::vector<std::pair<const char*, const char*>> meshes;  // cp, sp
  };
  // The demo's joint sequence has three blocks, so that ranks of sp 5 own nothing; nine tiles.
  const std::vector<Case> cases = {
      {{"--steps", "4", "--scheduler", "ddim", "--vae-tile", "48x40"},
       {{"1", "2"}, {"1", "3"}, {"2", "1"}, {"2", "2"}}},
      {{"--steps", "4", "--scheduler", "dpm", "--dtype", "bf16"}, {{"1", "5"}, {"2", "3"}}},
      {{"--steps", "4", "-g", "1", "--vae-tiling", "off"}, {{"1", "4"}}}};
  for (const Case& c : cases) {
    std::vector<std::string> flags = c.request;
    flags.insert(flags.end(), {"-o", path("one.mp4"), "--overwrite"});
    const json one = finished(flags);
    for (const auto& [cp, sp] : c.meshes) {
      SCOPED_TRACE(std::string("cp ") + cp + ", sp " + sp);
      std::vector<std::string> several = c.request;
      several.insert(several.end(),
                     {"--cp", cp, "--sp", sp, "-o", path("several.mp4"), "--overwrite"});
      const json report = finished(several);
      EXPECT_EQ(report["request"], one["request"]);
      EXPECT_EQ(report["sha256_latents"], one["sha256_latents"]);
      EXPECT_EQ(report["sha256_frames"], one["sha256_frames"]);
      EXPECT_TRUE(read_file(path("several.mp4")) == read_file(path("one.mp4")));
      EXPECT_EQ(report["placement"]["sp"], std::stoi(sp));
    }
  }
  EXPECT_TRUE(processes().empty());
}

TEST_F(RanksOf, WhenOneIsKilledAllEndAndTheRunGoesOnAtAnotherSize) {
  const std::vector<std::string> request = {"--steps", "60", "--scheduler", "dpm"};
  std::vector<std::string> flags = request;
  flags.insert(flags.end(), {"--cp", "2", "--sp", "2", "-o", path("v.mp4"), "--progress", "json"});
  Program program({.arguments = command(flags)});
  ASSERT_TRUE(program.wait_for(kFourthStep)) << program.err();
  std::vector<pid_t> ranks = processes();
  std::erase(ranks, program.pid());
  ASSERT_EQ(ranks.size(), 4U);
  const auto start = std::chrono::steady_clock::now();
  kill(ranks.back(), SIGKILL);
  const ProgramResult result = program.wait();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
  EXPECT_EQ(result.exit_code, 7) << result.err;
  EXPECT_NE(result.err.find("was killed by signal 9"), std::string::npos) << result.err;
  EXPECT_TRUE(processes().empty());
  EXPECT_EQ(result.out, "");
  ASSERT_TRUE(fs::exists(path("v.state.safetensors"))) << result.err;

  flags = request;
  flags.insert(flags.end(), {"-o", path("whole.mp4")});
  const json whole = finished(flags);
  for (const auto& [cp, sp] :
       std::vector<std::pair<const char*, const char*>>{{"1", "1"}, {"2", "3"}}) {
    fs::copy_file(path("v.state.safetensors"), path("saved"), fs::copy_options::overwrite_existing);
    const json resumed =
        finished({"--steps", "60", "--scheduler", "dpm", "--resume", path("saved"), "--cp", cp,
                  "--sp", sp, "-o", path("resumed.mp4"), "--overwrite"});
    EXPECT_EQ(resumed["sha256_frames"], whole["sha256_frames"]) << cp << " x " << sp;
    EXPECT_GE(resumed["continued_from"]["step"], 3);
  }
}

TEST_F(RanksOf, ASignalEndsAllWithTheLastStepOnDisk) {
  const ProgramResult result = run_and_act(
      {.arguments =
           command({"--steps", "200", "--sp", "3", "-o", path("v.mp4"), "--progress", "json"})},
      kFourthStep, [](const Program& program) { program.send(SIGINT); });
  EXPECT_EQ(result.exit_code, 128 + SIGINT) << result.err;
  EXPECT_TRUE(processes().empty());
  EXPECT_EQ(names_in(folder_.path()), std::vector<std::string>{"v.state.safetensors"});
}

TEST_F(RanksOf, NoRankOutlivesTheSupervisor) {
  const ProgramResult result = run_and_act(
      {.arguments =
           command({"--steps", "1000", "--sp", "3", "-o", path("v.mp4"), "--progress", "json"})},
      kFourthStep, [](const Program& program) { program.send(SIGKILL); });
  EXPECT_EQ(result.exit_code, 128 + SIGKILL);
  for (int i = 0; i < 100 && !processes().empty(); ++i)
    std::this_thread::sleep_for(milliseconds(50));
  EXPECT_TRUE(processes().empty());
}

TEST_F(RanksOf, AFailureOfOneRankIsItsOwnExitCodeAndLine) {
  const ProgramResult result =
      run_cogvx_gen({.arguments = command({"--steps", "4", "--sp", "2", "-o", path("v.mp4")}),
                     .input = {},
                     .shell = in_hostile_world("COGVX_TEST_NO_BLOCK_OF=500000")});
  EXPECT_EQ(result.exit_code, 5) << result.err;
  EXPECT_NE(result.err.find("got no more memory"), std::string::npos) << result.err;
}

// As torchrun starts a process.
std::string as_rank(int rank, int world, const std::string& port) {
  return "RANK=" + std::to_string(rank) + " WORLD_SIZE=" + std::to_string(world) +
         " MASTER_ADDR=127.0.0.1 MASTER_PORT=" + port + " exec \"$@\"";
}

TEST_F(RanksOf, ALaunchersEnvironmentGivesTheRank) {
  const json one = finished({"--steps", "4", "-o", path("one.mp4")});
  const std::string port = std::to_string(free_port());
  const std::vector<std::string> arguments =
      command({"--steps", "4", "--sp", "2", "-o", path("two.mp4")});
  Program first({.arguments = arguments, .input = {}, .shell = as_rank(0, 2, port)});
  Program second({.arguments = arguments, .input = {}, .shell = as_rank(1, 2, port)});
  const ProgramResult from_first = first.wait(), from_second = second.wait();
  ASSERT_EQ(from_first.exit_code, 0) << from_first.err;
  EXPECT_EQ(from_second.exit_code, 0) << from_second.err;
  EXPECT_EQ(from_second.out, "");
  EXPECT_EQ(json::parse(from_first.out)["sha256_frames"], one["sha256_frames"]);
}

TEST_F(RanksOf, AWorldThatIsNotCpTimesSpIsNamedWithBoth) {
  const ProgramResult result =
      run_cogvx_gen({.arguments = command({"--cp", "2", "--sp", "2", "-o", path("v.mp4")}),
                     .input = {},
                     .shell = as_rank(0, 3, "1")});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_NE(result.err.find("cp x sp is 4, wanted 3"), std::string::npos) << result.err;
}

TEST_F(RanksOf, RanksThatWereAskedForDifferentVideosRefuse) {
  const std::string port = std::to_string(free_port());
  Program first({.arguments = command({"--seed", "1", "--sp", "2", "-o", path("a.mp4")}),
                 .input = {},
                 .shell = as_rank(0, 2, port)});
  Program second({.arguments = command({"--seed", "2", "--sp", "2", "-o", path("a.mp4")}),
                  .input = {},
                  .shell = as_rank(1, 2, port)});
  const ProgramResult result = first.wait();
  EXPECT_EQ(second.wait().exit_code, 7);
  EXPECT_EQ(result.exit_code, 7);
  EXPECT_NE(result.err.find("the request differs between processes: rank 1"), std::string::npos)
      << result.err;
}

}  // namespace
}  // namespace cogvx::test
