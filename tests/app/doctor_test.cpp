// --doctor, --list-devices and --version, on this machine and on GPUs that fakes play.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "app/doctor.h"
#include "tests/support/program.h"

namespace cogvx {
namespace {
namespace fs = std::filesystem;
using namespace test;
using app::Finding;
using nlohmann::json;
using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

// The program beside plugins that play GPUs.
class Doctor : public testing::Test {
 protected:
  Doctor() {
    install_program(folder_.path(), {{"libcogvx_cuda.so", COGVX_FAKE_CUDA_PLUGIN},
                                     {"libcogvx_nccl.so", COGVX_MOVING_NCCL},
                                     {"libnvidia-ml.so.1", COGVX_FAKE_NVML}});
  }

  ProgramResult run(const std::vector<std::string>& arguments, const std::string& devices,
                    const std::string& more = "") {
    return run_cogvx_gen({.arguments = arguments,
                          .shell = "shift; export " + more + " COGVX_FAKE_CUDA='" + devices +
                                   "' LD_LIBRARY_PATH=" + (folder_ / "lib").string() + "; exec " +
                                   (folder_ / "bin" / "cogvx-gen").string() + " \"$@\""});
  }
  ProgramResult examine_gpus(const std::string& devices, const std::string& more = "") {
    return run({"--doctor", "--device", "cuda"}, devices, more);
  }

  TemporaryFolder folder_;
};

TEST(DoctorHere, FindsNothingInTheWayOfThisTestsOwnMachine) {
  const ProgramResult result = run_cogvx_gen(std::vector<std::string>{"--doctor", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.out;
  const json report = json::parse(result.out);
  EXPECT_EQ(report.at("problems"), 0);
  std::map<std::string, json> findings;
  for (const json& finding : report.at("findings")) findings.emplace(finding.at("name"), finding);
  for (const char* name : {"CPU", "cores", "memory", "/dev/shm", "temporary files", "environment",
                           "versions", "libav encoders", "c10d round trip", "CUDA"})
    EXPECT_TRUE(findings.contains(name)) << name;
  EXPECT_EQ(findings.at("c10d round trip").at("level"), "ok");
  EXPECT_THAT(findings.at("libav encoders").at("text").get<std::string>(), HasSubstr("libx264"));
  EXPECT_THAT(findings.at("memory").at("text").get<std::string>(),
              ContainsRegex("GB by .*\\([0-9]+\\)"));
}

TEST(DoctorHere, WhatChangesBytesIsAWarningWithItsCure) {
  const ProgramResult result = run_cogvx_gen(ProgramCall{
      .arguments = {"--doctor"}, .shell = "export ATEN_CPU_CAPABILITY=avx2; exec \"$@\""});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.out, HasSubstr("warning  environment      ATEN_CPU_CAPABILITY=avx2 can"));
  EXPECT_THAT(result.out, HasSubstr("-> unset ATEN_CPU_CAPABILITY"));
}

TEST(CpuPath, AnUnknownOneIsRefusedWithThoseThereAre) {
  const ProgramResult result = run_cogvx_gen(
      ProgramCall{.arguments = {"--doctor"}, .shell = "export COGVX_CPU_PATH=avx3; exec \"$@\""});
  EXPECT_EQ(result.exit_code, 2) << result.out;
  EXPECT_THAT(result.err, HasSubstr("COGVX_CPU_PATH is 'avx3'; this CPU has plain"));
}

TEST(DoctorHere, AFolderForTemporaryFilesThatIsNoneIsAProblem) {
  const ProgramResult result = run_cogvx_gen(
      ProgramCall{.arguments = {"--doctor"}, .shell = "export TMPDIR=/nowhere; exec \"$@\""});
  EXPECT_EQ(result.exit_code, 4) << result.out;
  EXPECT_THAT(result.out, HasSubstr("problem  temporary files"));
}

TEST(DoctorHere, ProcessesThatCannotMeetAreAProblem) {
  // A namespace without any network has no loopback either.
  const ProgramResult result = run_cogvx_gen(ProgramCall{
      .arguments = {"--doctor"},
      .shell = "unshare --user --map-root-user --net true 2>/dev/null || exit 77; exec unshare "
               "--user --map-root-user --net \"$@\""});
  if (result.exit_code == 77) GTEST_SKIP() << "this machine grants no namespaces";
  EXPECT_EQ(result.exit_code, 4) << result.out;
  EXPECT_THAT(result.out, HasSubstr("problem  c10d round trip"));
}

TEST_F(Doctor, SaysWhatGpusThereAreAndWhoUsesThem) {
  const ProgramResult free = examine_gpus("2 new devices");
  EXPECT_EQ(free.exit_code, 0) << free.out;
  EXPECT_THAT(free.out, HasSubstr("driver 580.65.06 serves CUDA 13.1, this build is of CUDA 13.0"));
  EXPECT_THAT(free.out, ContainsRegex("ok +GPU 1 +New One, .* 80.00 GB free"));
  EXPECT_THAT(free.out, HasSubstr("2 pairs, 2 of them direct, the slowest 67.1 GB/s"));
  EXPECT_THAT(free.out, ContainsRegex("ok +NCCL +2.28.9"));
  const ProgramResult used = examine_gpus("1 new devices", "COGVX_FAKE_NVML_USED=30000000000");
  EXPECT_EQ(used.exit_code, 0) << used.out;
  EXPECT_THAT(used.out, ContainsRegex("warning +GPU 0 +New One, .* 50.00 GB free; used: 30.00 GB "
                                      "by cogvx-gen \\([0-9]+\\)"));
  const ProgramResult hidden = examine_gpus("1 new devices", "COGVX_FAKE_NVML_STATUS=3");
  EXPECT_THAT(hidden.out, HasSubstr("who uses it is unknown"));
}

TEST_F(Doctor, ACopyThatChangesBytesIsAProblemOfThatPair) {
  const ProgramResult result = examine_gpus("3 new devices", "COGVX_FAKE_CUDA_SPOILS=2");
  EXPECT_EQ(result.exit_code, 4);
  EXPECT_THAT(result.out, HasSubstr("problem  GPU copies       GPU 0 to GPU 2: other bytes"));
  EXPECT_THAT(result.out, HasSubstr("6 pairs, 2 of them direct"));
  EXPECT_THAT(result.out, Not(HasSubstr("GPU 0 to GPU 1: other")));
  EXPECT_THAT(examine_gpus("9 new devices").out,
              HasSubstr("a copy from GPU 8 to GPU 0 failed: out of memory"));
}

TEST_F(Doctor, NoGpuIsAProblemOnlyForWhoAskedForOne) {
  const ProgramResult wanted = examine_gpus("no driver");
  EXPECT_EQ(wanted.exit_code, 4);
  EXPECT_THAT(wanted.out, HasSubstr("problem  CUDA"));
  const ProgramResult unasked = run({"--doctor"}, "no driver");
  EXPECT_EQ(unasked.exit_code, 0);
  EXPECT_THAT(unasked.out, HasSubstr("warning  CUDA"));
  EXPECT_THAT(examine_gpus("two devices").out, HasSubstr("which this build has no code for"));
}

TEST_F(Doctor, MissingNcclIsAProblemWhereGpusAreSeveral) {
  fs::remove(folder_ / "lib" / "libcogvx_nccl.so");
  EXPECT_EQ(examine_gpus("1 new devices").exit_code, 0);
  const ProgramResult several = examine_gpus("2 new devices");
  EXPECT_EQ(several.exit_code, 4);
  EXPECT_THAT(several.out, HasSubstr("problem  NCCL"));
}

TEST_F(Doctor, DevicesAreListedForEyesAndForScripts) {
  const ProgramResult text = run({"--list-devices"}, "two devices");
  EXPECT_EQ(text.exit_code, 0);
  EXPECT_THAT(text.out, AllOf(StartsWith("cpu "), HasSubstr("\ncuda 0  New One, 80 GiB\n"),
                              HasSubstr("cuda 1  Old One, 80 GiB, too old for this build\n")));
  const json list = json::parse(run({"--list-devices", "--json"}, "two devices").out);
  EXPECT_GE(list.at("cpu").at("cores"), 1);
  EXPECT_EQ(list.at("cuda").at(0).at("name"), "New One");
  EXPECT_EQ(list.at("cuda").at(1).at("supported"), false);
  const json none = json::parse(run({"--list-devices", "--json"}, "no device").out);
  EXPECT_TRUE(none.at("cuda").empty());
  EXPECT_THAT(none.at("cuda_missing").get<std::string>(), HasSubstr("the driver shows no device"));
}

TEST_F(Doctor, TheVersionNamesEveryLibrary) {
  const ProgramResult result = run({"--version"}, "no driver");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.out, StartsWith("cogvx-gen "));
  for (const char* line : {"\nlibtorch 2\\.11\\.", "\noneDNN [0-9]+\\.", "\nMKL 20",
                           "\nFFmpeg [0-9]", "\nlibavcodec [0-9]+\\.", "\nlibswscale [0-9]+\\.",
                           "\nsentencepiece [0-9]+\\.", "\nnlohmann/json 3\\.", "\nCLI11 [0-9]+\\.",
                           "\nspdlog 1\\.", "\nCUDA plugin built with CUDA 13\\.0\n"})
    EXPECT_THAT(result.out, ContainsRegex(line));
  fs::remove(folder_ / "lib" / "libcogvx_cuda.so");
  EXPECT_THAT(run({"--version"}, "").out, HasSubstr("\nCUDA plugin none with this program\n"));
}

TEST(Findings, OneProblemDecidesTheExitCode) {
  const Finding fine{Finding::Level::kOk, "a", "fine"};
  const Finding warning{Finding::Level::kWarning, "b", "odd", "look"};
  const Finding problem{Finding::Level::kProblem, "c", "two\nlines", "mend"};
  EXPECT_EQ(app::findings_exit_code({}), 0);
  EXPECT_EQ(app::findings_exit_code({fine, warning}), 0);
  EXPECT_EQ(app::findings_exit_code({fine, problem, warning}), 4);
  const std::string text = app::findings_text({fine, problem, warning});
  EXPECT_THAT(text, HasSubstr("problem  c                two\\nlines\n"));
  EXPECT_THAT(text, HasSubstr("1 problem, 1 warning\n"));
}

}  // namespace
}  // namespace cogvx
