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

TEST_F(RanksOf, TheOtherWayToShareAttentionGivesTheSameBytes) {
  const std::vector<std::string> request = {"--steps", "4", "--overwrite", "-o", path("v.mp4")};
  const json one = finished(request);
  for (const char* sp : {"2", "4"}) {
    std::vector<std::string> flags = request;
    flags.insert(flags.end(), {"--sp", sp, "--sp-mode", "gather"});
    const json report = finished(flags);
    EXPECT_EQ(report["sha256_frames"], one["sha256_frames"]) << "sp " << sp;
    EXPECT_EQ(report["placement"]["sp_mode"], "gather");
  }
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

TEST_F(RanksOf, OnlyRankZeroNeedsTheTextEncoder) {
  fs::copy(demo_model(), path("model"), fs::copy_options::recursive);
  ASSERT_TRUE(fs::remove(folder_ / "model" / "text_encoder" / "model.safetensors"));
  const std::string port = std::to_string(free_port());
  std::vector<std::string> arguments = command({"--steps", "2", "--sp", "2", "-o", path("v.mp4")});
  Program first({.arguments = arguments, .input = {}, .shell = as_rank(0, 2, port)});
  arguments.insert(arguments.end(), {"--model", path("model")});
  Program second({.arguments = arguments, .input = {}, .shell = as_rank(1, 2, port)});
  // The second first: where it fails, the first waits for it.
  const ProgramResult from_second = second.wait();
  EXPECT_EQ(from_second.exit_code, 0) << from_second.err;
  const ProgramResult from_first = first.wait();
  EXPECT_EQ(from_first.exit_code, 0) << from_first.err;
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

TEST_F(RanksOf, APromptFromStandardInputReachesEveryProcess) {
  const json one = finished({"--steps", "2", "-o", path("one.mp4")});
  for (const char* file : {"-", "/dev/stdin"}) {
    const ProgramResult result =
        run_cogvx_gen({"--model", demo_model(), "--prompt-file", file, "--threads", "1", "--steps",
                       "2", "--cp", "2", "-o", path("two.mp4"), "--overwrite", "--json"},
                      std::string(kDemoPrompt) + "\n");
    ASSERT_EQ(result.exit_code, 0) << result.err;
    const json two = json::parse(result.out);
    EXPECT_EQ(two["request"], one["request"]) << file;
    EXPECT_EQ(two["sha256_frames"], one["sha256_frames"]) << file;
  }
}

TEST_F(RanksOf, EachHasALogOfItsOwn) {
  finished({"--steps", "2", "--sp", "3", "-o", path("v.mp4"), "--log-dir", path("logs/new")});
  EXPECT_EQ(names_in(folder_ / "logs/new"),
            (std::vector<std::string>{"rank-0.log", "rank-1.log", "rank-2.log"}));
  for (const char* name : {"rank-0.log", "rank-1.log", "rank-2.log"}) {
    EXPECT_NE(read_file(folder_ / "logs/new" / name).find("denoise: step 2/2"), std::string::npos)
        << name;
  }
}

// What the process says through its log, and what the system says of it on standard error.
TEST_F(RanksOf, ALogHoldsTheErrorToo) {
  const ProgramResult result = run_cogvx_gen(
      {.arguments =
           command({"--steps", "4", "--sp", "2", "-o", path("v.mp4"), "--log-dir", path("logs")}),
       .input = {},
       .shell = in_hostile_world("COGVX_TEST_RANK=1 COGVX_TEST_NO_BLOCK_OF=500000")});
  EXPECT_EQ(result.exit_code, 5) << result.err;
  const std::string log = read_file(folder_ / "logs/rank-1.log");
  EXPECT_NE(log.find("rank 1 of 2, "), std::string::npos) << log;
  EXPECT_NE(log.find("got no more memory"), std::string::npos) << log;
}

TEST_F(RanksOf, ALogFolderThatCannotBeMadeIsOneLineAndCode9) {
  std::ofstream(path("file")) << "somebody's";
  const ProgramResult result =
      run_cogvx_gen(command({"--sp", "2", "-o", path("v.mp4"), "--log-dir", path("file/logs")}));
  EXPECT_EQ(result.exit_code, 9);
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  EXPECT_NE(result.err.find("--log-dir"), std::string::npos) << result.err;
}

TEST_F(RanksOf, ThoseWithNothingToDoAreCountedOnce) {
  const auto warning = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = command({"--steps", "1", "-o", path("v.mp4")});
    arguments.insert(arguments.end(), {"--overwrite", "-q", "--dtype", "fp32"});
    arguments.insert(arguments.end(), more.begin(), more.end());
    const ProgramResult result = run_cogvx_gen(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.err;
  };
  // Three blocks of rows; nine tiles.
  EXPECT_EQ(warning({"--sp", "3", "--vae-tile", "48x40"}), "");
  const std::string five = warning({"--sp", "5"});
  EXPECT_EQ(std::count(five.begin(), five.end(), '\n'), 1) << five;
  EXPECT_NE(five.find("--sp 5 leaves 2 of 5 processes without rows"), std::string::npos) << five;
  EXPECT_NE(five.find("use --sp 3"), std::string::npos) << five;
  EXPECT_NE(five.find("4 of 5 processes have no tile"), std::string::npos) << five;
}

TEST_F(RanksOf, ThreadsAreTheCoresByTheProcessesOfThisMachine) {
  if (std::system("taskset -c 0,1 true 2>/dev/null") != 0) GTEST_SKIP() << "no two cores here";
  const std::vector<std::string> demo = {"--model", demo_model(), "-p", "x", "--steps", "1"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), demo.begin(), demo.end());
    return more;
  };
  const auto alone = [&](const std::string& sp) {
    const ProgramResult result =
        run_cogvx_gen({.arguments = with({"--sp", sp, "--dump-config"}),
                       .input = {},
                       .shell = "OMP_NUM_THREADS=1 exec taskset -c 0,1 \"$@\""});
    return json::parse(result.out)["threads"];
  };
  EXPECT_EQ(alone("1"), 2);
  EXPECT_EQ(alone("2"), 1);
  // Two processes as torchrun starts them, `local` of them on this machine.
  const auto started = [&](const std::string& local) {
    const std::vector<std::string> arguments =
        with({"--sp", "2", "-o", path("v.mp4"), "--json", "--overwrite"});
    const std::string port = std::to_string(free_port());
    const std::string variables = "LOCAL_WORLD_SIZE=" + local + " OMP_NUM_THREADS=1 ";
    const auto shell = [&](int rank) {
      return variables +
             as_rank(rank, 2, port)
                 .replace(as_rank(rank, 2, port).find("exec"), 4, "exec taskset -c 0,1");
    };
    Program first({.arguments = arguments, .input = {}, .shell = shell(0)});
    Program second({.arguments = arguments, .input = {}, .shell = shell(1)});
    EXPECT_EQ(second.wait().exit_code, 0);
    return json::parse(first.wait().out)["placement"]["threads"];
  };
  EXPECT_EQ(started("1"), 2);
  EXPECT_EQ(started("2"), 1);
}

}  // namespace
}  // namespace cogvx::test
