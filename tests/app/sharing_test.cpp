#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <numeric>
#include <sstream>

#include "tests/support/demo_run.h"
#include "tests/support/program.h"

// That ranks really share the work, as the kernel sees it: a layer of 2B's geometry, and /proc.
namespace cogvx::test {
namespace {

bool is_long() { return std::getenv("COGVX_LONG") != nullptr; }

// A run that is looked at while it denoises, and ended when enough was seen.
class WatchedRun {
 public:
  explicit WatchedRun(const std::vector<std::string>& arguments)
      : program_({.arguments = arguments}) {}
  ~WatchedRun() {
    program_.send(SIGKILL);
    program_.wait();
  }

  // Until rank 0 has done so many steps.
  void wait_for_step(int done) const {
    ASSERT_TRUE(
        program_.wait_for(R"("done":)" + std::to_string(done) + R"(,"part":0.0,"stage":"denoise")"))
        << program_.err();
  }
  bool ended() const { return program_.ended(); }
  std::string err() const { return program_.err(); }

  // In rank order; the program itself where it is the only one.
  std::vector<pid_t> ranks() const {
    const std::string pid = std::to_string(program_.pid());
    std::istringstream children(read_file("/proc/" + pid + "/task/" + pid + "/children"));
    std::vector<pid_t> found;
    for (pid_t child = 0; children >> child;) found.push_back(child);
    return found.empty() ? std::vector<pid_t>{program_.pid()} : found;
  }

 private:
  Program program_;
};

std::string proc_file(pid_t pid, const char* name) {
  return read_file("/proc/" + std::to_string(pid) + "/" + name);
}

// In user and system mode, of all threads.
double cpu_seconds(pid_t pid) {
  const std::string stat = proc_file(pid, "stat");
  std::istringstream fields(stat.substr(stat.rfind(')') + 2));
  std::string skipped;
  for (int i = 3; i < 14; ++i) fields >> skipped;
  int64_t user = 0, system = 0;
  fields >> user >> system;
  return static_cast<double>(user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

// A line "VmHWM:     1234 kB" of status, in megabytes.
double status_megabytes(pid_t pid, const std::string& key) {
  std::istringstream lines(proc_file(pid, "status"));
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(key + ":")) return std::stod(line.substr(key.size() + 1)) * 1024 / 1e6;
  }
  return 0;
}

std::vector<double> of_all(const std::vector<pid_t>& ranks, double (*what)(pid_t)) {
  std::vector<double> values;
  for (const pid_t rank : ranks) values.push_back(what(rank));
  return values;
}

double peak_megabytes(pid_t pid) { return status_megabytes(pid, "VmHWM"); }
double resident_megabytes(pid_t pid) { return status_megabytes(pid, "VmRSS"); }

class Sharing : public testing::Test {
 protected:
  void SetUp() override {
    const std::string maker = (source_dir() / "scripts" / "make_random_checkpoint.py").string();
    const std::string command = "python3 '" + maker + "' --geometry 2b --layers 1 --text-layers 8" +
                                " --slim-vae 16 --tokenizer '" + demo_model() +
                                "/tokenizer/spiece.model' '" + (folder_ / "model").string() + "'";
    ASSERT_EQ(std::system(command.c_str()), 0);
  }
  std::vector<std::string> command(const std::vector<std::string>& more) const {
    std::vector<std::string> arguments = {"--model",     (folder_ / "model").string(),
                                          "-p",          "x",
                                          "--dtype",     "bf16",
                                          "--threads",   "1",
                                          "--progress",  "json",
                                          "-o",          (folder_ / "v.mp4").string(),
                                          "--steps",     "50",
                                          "--overwrite", "--allow-untrained-size"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  TemporaryFolder folder_;
};

// CPU seconds of each rank's denoising steps, with neither loading, text nor decoding.
std::vector<double> denoising_seconds(const std::vector<std::string>& arguments) {
  const WatchedRun run(arguments);
  run.wait_for_step(1);
  const std::vector<pid_t> ranks = run.ranks();
  std::vector<double> seconds = of_all(ranks, cpu_seconds);
  run.wait_for_step(is_long() ? 9 : 3);
  const std::vector<double> after = of_all(ranks, cpu_seconds);
  for (size_t i = 0; i < ranks.size(); ++i) seconds[i] = after[i] - seconds[i];
  return seconds;
}

// Each rank's part of an even share.
std::vector<double> measured_shares(const std::vector<std::string>& arguments) {
  std::vector<double> shares = denoising_seconds(arguments);
  const double even =
      std::accumulate(shares.begin(), shares.end(), 0.0) / static_cast<double>(shares.size());
  // The kernel counts in hundredths.
  EXPECT_GT(even, 0.3) << "too short to tell";
  for (double& share : shares) share /= even;
  return shares;
}

double unevenness(const std::vector<double>& shares) {
  double most = 0;
  for (const double share : shares) most = std::max(most, std::abs(share - 1));
  return most;
}

TEST_F(Sharing, CpuTimeOfTheDenoisingStageIsEvenWithin15Percent) {
  std::vector<std::vector<std::string>> meshes = {{"--sp", "4", "-g", "1"},
                                                  {"--cp", "2", "--sp", "2"}};
  if (is_long()) meshes.push_back({"--sp", "4", "-g", "1", "--sp-mode", "gather"});
  for (std::vector<std::string>& mesh : meshes) {
    mesh.insert(mesh.end(), {"--frames", is_long() ? "17" : "9"});
    std::vector<double> shares = measured_shares(command(mesh));
    // Other work on the machine spoils a measurement; ranks that do not share spoil every one.
    for (int again = 0; again < 2 && unevenness(shares) > 0.15; ++again)
      shares = measured_shares(command(mesh));
    EXPECT_EQ(shares.size(), 4U);
    EXPECT_LE(unevenness(shares), 0.15) << testing::PrintToString(mesh);
    std::cout << testing::PrintToString(mesh) << ": " << testing::PrintToString(shares) << "\n";
  }
}

// Of the first step: the stage's highest resident size, without what is there when the activations
// are next to nothing, the weights above all.
std::vector<double> activation_megabytes(const std::vector<std::string>& large,
                                         const std::vector<std::string>& tiny) {
  std::vector<double> peaks, residents, loading;
  {
    const WatchedRun run(large);
    run.wait_for_step(1);
    peaks = of_all(run.ranks(), peak_megabytes);
  }
  {
    const WatchedRun run(tiny);
    run.wait_for_step(1);
    residents = of_all(run.ranks(), resident_megabytes);
    loading = of_all(run.ranks(), peak_megabytes);
  }
  EXPECT_EQ(peaks.size(), residents.size());
  for (size_t i = 0; i < peaks.size(); ++i) {
    EXPECT_GT(peaks[i], 1.1 * loading[i]) << "the peak is that of loading";
    peaks[i] -= residents[i];
  }
  return peaks;
}

TEST_F(Sharing, PeakMemoryOfActivationsOnFourRanksIsAtMostTwoFifthsOfOnes) {
  const std::vector<std::string> size = {"-g", "1", "--frames", is_long() ? "49" : "25"};
  const std::vector<std::string> no_size = {"-g",      "1",  "--frames", "1",
                                            "--width", "96", "--height", "80"};
  const auto measure = [&](const std::vector<std::string>& mesh) {
    std::vector<std::string> large = mesh, tiny = mesh;
    large.insert(large.end(), size.begin(), size.end());
    tiny.insert(tiny.end(), no_size.begin(), no_size.end());
    return activation_megabytes(command(large), command(tiny));
  };
  const double one = measure({}).at(0);
  for (const double rank : measure({"--sp", "4"})) {
    std::cout << "peak activations " << rank << " MB of " << one << "\n";
    EXPECT_LE(rank / one, 0.4) << rank << " MB, one process has " << one << " MB";
  }
}

TEST_F(Sharing, OnlyRankZeroEverMapsTheTextEncoder) {
  const WatchedRun run(
      command({"--sp", "3", "-g", "1", "--frames", "1", "--width", "96", "--height", "80"}));
  const std::string mark = R"("done":1,"part":0.0,"stage":"denoise")";
  // Moments at which a rank had files of the checkpoint mapped, and the text encoder's among them.
  std::vector<int> model(3), text(3);
  while (!run.ended() && run.err().find(mark) == std::string::npos) {
    const std::vector<pid_t> ranks = run.ranks();
    for (size_t i = 0; i < ranks.size() && ranks.size() == 3; ++i) {
      const std::string maps = proc_file(ranks[i], "maps");
      model[i] += maps.find("/model/") != std::string::npos;
      text[i] += maps.find("/model/text_encoder/") != std::string::npos;
    }
  }
  for (int rank = 0; rank < 3; ++rank) {
    std::cout << "rank " << rank << ": " << model[rank] << " moments, text encoder in "
              << text[rank] << "\n";
    EXPECT_GE(model[rank], 5) << "rank " << rank;
    EXPECT_EQ(text[rank] > 0, rank == 0) << "rank " << rank;
  }
}

}  // namespace
}  // namespace cogvx::test
