// scripts/launch.sh and the launchers it hands over to: the bytes of one process under each.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/support/demo_run.h"
#include "tests/support/free_port.h"
#include "tests/support/program.h"

namespace cogvx::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

bool everything() { return std::getenv("COGVX_LONG") != nullptr; }

bool has_program(const char* name) {
  return std::system(("command -v " + std::string(name) + " >/dev/null").c_str()) == 0;
}

class Launchers : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return (folder_.path() / name).string(); }
  std::vector<std::string> flags(const std::vector<std::string>& more) const {
    std::vector<std::string> all = {
        "--model", demo_model(), "-p", kDemoPrompt,   "--threads", "1",          "--steps",
        "3",       "--json",     "-q", "--overwrite", "-o",        path("v.mp4")};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  // scripts/launch.sh with its own arguments before the flags; `shell` may set variables for it.
  ProgramResult launch(const std::vector<std::string>& own, const std::vector<std::string>& more,
                       const std::string& shell = "exec \"$@\"") const {
    std::vector<std::string> arguments = own;
    arguments.insert(arguments.end(),
                     {"--program", (build_dir() / "app" / "cogvx-gen").string(), "--"});
    const std::vector<std::string> of_program = flags(more);
    arguments.insert(arguments.end(), of_program.begin(), of_program.end());
    return run_cogvx_gen({.arguments = arguments,
                          .shell = shell,
                          .program = (source_dir() / "scripts" / "launch.sh").string()});
  }
  std::string frames_of_one() const {
    return json::parse(run_cogvx_gen(flags({})).out)["sha256_frames"];
  }
  static void expect_video(const ProgramResult& result, const std::string& frames, int world) {
    ASSERT_EQ(result.exit_code, 0) << result.err;
    const json report = json::parse(result.out, nullptr, /*allow_exceptions=*/false);
    ASSERT_TRUE(report.is_object()) << result.out;
    EXPECT_EQ(report["sha256_frames"], frames);
    EXPECT_EQ(report["units"].size(), static_cast<size_t>(world));
  }
  void write_program(const std::string& name, const std::string& text) const {
    std::ofstream(path(name)) << "#!/bin/sh\n" << text;
    fs::permissions(path(name), fs::perms::owner_all);
  }

  TemporaryFolder folder_;
};

const std::vector<std::string> kFour = {"--cp", "2", "--sp", "2"};

TEST_F(Launchers, OurOwnSupervisorIsTheDefault) {
  expect_video(launch({}, kFour), frames_of_one(), 4);
}

TEST_F(Launchers, OpenMpiGivesTheBytesOfOneProcess) {
  if (!has_program("mpirun")) GTEST_SKIP() << "mpirun is not installed (openmpi-bin)";
  expect_video(launch({"--with", "mpirun"}, kFour), frames_of_one(), 4);
}

// Slurm is not to be had here: this srun starts the tasks with the variables of a step.
TEST_F(Launchers, AFakedSlurmStepGivesTheBytesOfOneProcess) {
  write_program("srun", R"(
tasks=1
while [ $# -gt 0 ]; do
  case "$1" in --ntasks) tasks=$2; shift 2 ;; -*) shift ;; *) break ;; esac
done
task=$tasks
while [ $task -gt 0 ]; do
  task=$((task - 1))
  env SLURM_JOB_ID=$$ SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=$tasks SLURM_STEP_NUM_NODES=1 SLURM_PROCID=$task \
    SLURM_LOCALID=$task SLURM_NTASKS=$tasks "$@" &
done
wait
)");
  expect_video(launch({"--with", "srun"}, kFour,
                      "PATH='" + folder_.path().string() + "':\"$PATH\" exec \"$@\""),
               frames_of_one(), 4);
}

TEST_F(Launchers, TorchrunGivesTheBytesOfOneProcess) {
  if (!everything()) GTEST_SKIP() << "fetches what torchrun imports; set COGVX_LONG";
  write_program("torchrun",
                "exec '" + (source_dir() / "scripts" / "torchrun.sh").string() + "' \"$@\"\n");
  expect_video(launch({"--with", "torchrun"}, kFour,
                      "PATH='" + folder_.path().string() + "':\"$PATH\" exec \"$@\""),
               frames_of_one(), 4);
}

TEST_F(Launchers, TwoMachinesGiveTheBytesOfOneProcess) {
  if (!everything()) GTEST_SKIP() << "set COGVX_LONG";
  if (geteuid() != 0 || !has_program("ip")) GTEST_SKIP() << "needs root and ip";
  const std::string two_machines =
      (source_dir() / "tests" / "app" / "two_machines.sh").string() + " \"$@\"";
  expect_video(run_cogvx_gen({.arguments = flags(kFour), .shell = "exec " + two_machines}),
               frames_of_one(), 4);
}

TEST_F(Launchers, BadArgumentsAreOneLineAndExitTwo) {
  const std::vector<std::pair<std::vector<std::string>, const char*>> cases = {
      {{"--with", "ssh"}, "--with is 'ssh'"},
      {{"--nnodes", "2"}, "--with spawn is for one machine"},
      {{"--with=torchrun", "--nnodes", "2"}, "--node-rank"},
      {{"--nnodes", "two"}, "--nnodes is 'two'"}};
  for (const auto& [arguments, text] : cases) {
    const ProgramResult result = launch(arguments, {});
    EXPECT_EQ(result.exit_code, 2) << text;
    EXPECT_NE(result.err.find(text), std::string::npos) << result.err;
    EXPECT_EQ(result.err.find('\n'), result.err.size() - 1) << result.err;
  }
  EXPECT_NE(launch({}, {"--sp", "many"}).err.find("--sp is 'many'"), std::string::npos);
}

TEST_F(Launchers, TheNumberOfProcessesIsTheProgramsOwn) {
  write_program("srun", "");
  std::ofstream(path("config.json")) << R"({"cp": 2, "sp": 3})";
  const std::vector<std::pair<std::vector<std::string>, const char*>> cases = {
      {{"--cp=2", "--sp", "3"}, "--ntasks 6 "},
      {{"--cfg_parallel", "2", "--seq-parallel=2"}, "--ntasks 4 "},
      {{"--sp", "3", "--sp", "2"}, "--ntasks 2 "},
      {{"--config", path("config.json")}, "--ntasks 6 "},
      {{"--config", path("config.json"), "--sp", "1"}, "--ntasks 2 "},
      {{}, "--ntasks 1 "}};
  for (const auto& [more, text] : cases) {
    const ProgramResult result =
        launch({"--with", "srun", "--dry-run"}, more,
               "PATH='" + folder_.path().string() + "':\"$PATH\" exec \"$@\"");
    EXPECT_NE(result.out.find(text), std::string::npos) << result.out << result.err;
  }
}

TEST_F(Launchers, AWorldOfOneThatIsAskedForFourIsRefused) {
  const ProgramResult result =
      run_cogvx_gen({.arguments = flags(kFour), .shell = "RANK=0 WORLD_SIZE=1 exec \"$@\""});
  EXPECT_EQ(result.exit_code, 2) << result.err;
  EXPECT_NE(result.err.find("cp x sp is 4, wanted 1"), std::string::npos) << result.err;
}

}  // namespace
}  // namespace cogvx::test
