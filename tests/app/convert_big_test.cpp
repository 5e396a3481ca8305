#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <thread>

#include "tests/app/convert_test_support.h"

namespace cogvx::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// A transformer of 2B's width with four blocks, whose other components are tiny.
class BigCheckpoint : public CogvxConvert {
 protected:
  void SetUp() override {
    write_release("tiny-2b", "tiny-2b");
    json config = read_json(tiny_ / "transformer" / "config.json");
    config["num_attention_heads"] = kWidth / 64;
    config["num_layers"] = kBlocks;
    std::ofstream(tiny_ / "transformer" / "config.json") << config.dump();
    write_sat_file(states_, "transformer", "tiny-2b", "tiny-2b", StoredDtype::kBf16, widen);
  }

  static constexpr int64_t kTinyWidth = 192, kWidth = 1920, kBlocks = 4;

  // Every extent that is a multiple of the tiny width becomes that multiple of the wide one.
  static void widen(std::vector<SavedTensor>& tensors) {
    std::vector<SavedTensor> more;
    for (SavedTensor& tensor : tensors) {
      size_t count = 1;
      for (int64_t& extent : tensor.shape) {
        if (extent % kTinyWidth == 0) extent = extent / kTinyWidth * kWidth;
        count *= static_cast<size_t>(extent);
      }
      const size_t tiny = tensor.bytes.size();
      tensor.bytes.resize(count * 2);
      for (size_t at = tiny; at < tensor.bytes.size(); at += tiny)
        std::memcpy(&tensor.bytes[at], &tensor.bytes[0], std::min(tiny, tensor.bytes.size() - at));
      // Blocks 2 and 3 are block 1 again.
      for (const char* part : {"layers.1.", "modulations.1.", "_list.1."}) {
        const size_t at = tensor.name.find(part);
        if (at == std::string::npos) continue;
        for (const char* block : {"2", "3"}) {
          more.push_back(tensor);
          more.back().name.replace(at + std::strlen(part) - 2, 1, block);
        }
      }
    }
    tensors.insert(tensors.end(), more.begin(), more.end());
  }
};

// The most memory that a process had since it began its program; 0 where it has ended.
double peak_megabytes(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string word; status >> word;) {
    double kilobytes = 0;
    if (word == "VmHWM:" && status >> kilobytes) return kilobytes / 1e3;
  }
  return 0;
}

// Under sanitizers memory says nothing.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST_F(BigCheckpoint, IsNeverInMemoryAsAWhole) {
  const auto file_megabytes = static_cast<double>(fs::file_size(states_)) / 1e6;
  ASSERT_GT(file_megabytes, 300);
  Program program({.arguments = {sat_.string(), out_.string(), "--configs", tiny_.string()},
                   .program = "cogvx-convert"});
  double peak = 0;
  while (!program.ended()) {
    peak = std::max(peak, peak_megabytes(program.pid()));
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  const ProgramResult result = program.wait();
  ASSERT_EQ(result.exit_code, 0) << result.err;
  std::printf("peak memory %.0f MB for a file of %.0f MB\n", peak, file_megabytes);
  EXPECT_GT(peak, 50);
  EXPECT_LT(peak, file_megabytes);
}
#endif

TEST_F(BigCheckpoint, ThatIsInterruptedLeavesNothing) {
  for (const auto& [signal, code] : {std::pair{SIGINT, 130}, {SIGTERM, 143}}) {
    const ProgramResult result =
        run_and_act({.arguments = {sat_.string(), out_.string(), "--configs", tiny_.string()},
                     .program = "cogvx-convert"},
                    "writing", [s = signal](const Program& program) { program.send(s); });
    expect_failure(result, code, "stopped by a signal; nothing is left of it");
  }
}

}  // namespace
}  // namespace cogvx::test
