// The promise as a table: one request on every cp x sp, with both ways to share a sequence, has one
// pair of hashes. `grid_test` prints the whole table with COGVX_LONG set, else a covering part of
// it: every placement with both modes once, every family, scheduler and dtype.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "tests/support/demo_run.h"
#include "tests/support/program.h"
#include "tests/support/tiny_checkpoint.h"

namespace cogvx::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// A model and what is asked of it; 13 frames of 160x112 in nine tiles.
struct Row {
  const char* recipe;
  const char* heads;
  const char* scheduler;
  const char* dynamic_cfg;
  const char* guidance;
  const char* dtype;
};
constexpr Row kRows[] = {{"tiny-30x16", "30 heads of 16", "ddim", "off", "6", "fp32"},
                         {"tiny-5b", "5 heads, rotary", "dpm", "on", "6", "bf16"},
                         {"tiny-2b", "3 heads", "ddim", "off", "6", "bf16"},
                         {"tiny-2b", "3 heads", "dpm", "on", "5", "fp32"},
                         {"tiny-30x16", "30 heads of 16", "dpm", "off", "3", "bf16"},
                         {"tiny-5b", "5 heads, rotary", "ddim", "off", "1", "fp32"}};
constexpr int kRowCount = std::size(kRows);

struct Placement {
  int cp;
  int sp;
  const char* mode;
};
constexpr Placement kPlacements[] = {
    {1, 2, "ulysses"}, {1, 2, "gather"},  {1, 3, "ulysses"}, {1, 3, "gather"},  {1, 4, "ulysses"},
    {1, 4, "gather"},  {1, 5, "ulysses"}, {1, 5, "gather"},  {1, 7, "ulysses"}, {1, 7, "gather"},
    {1, 8, "ulysses"}, {1, 8, "gather"},  {2, 1, "ulysses"}, {2, 2, "ulysses"}, {2, 2, "gather"},
    {2, 3, "ulysses"}, {2, 3, "gather"},  {2, 4, "ulysses"}, {2, 4, "gather"}};
constexpr int kPlacementCount = std::size(kPlacements);

bool everything() { return std::getenv("COGVX_LONG") != nullptr; }

bool is_run(int row, int placement) {
  if (kRows[row].guidance[0] == '1' && kPlacements[placement].cp == 2) return false;
  // The last row has no guidance and leaves its placements with cp 2 to the first.
  const int covering = placement % kRowCount;
  const bool moved = kPlacements[placement].cp == 2 && covering == kRowCount - 1;
  return everything() || (moved ? 0 : covering) == row;
}

class Grid : public testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    write_tiny_checkpoint(
        source_dir() / "tests" / "goldens" / (std::string(kRows[GetParam()].recipe) + ".json"),
        folder_.path() / "model");
    fs::copy(fs::path(demo_model()) / "tokenizer", folder_.path() / "model" / "tokenizer");
  }

  std::string path(const std::string& name) const { return (folder_.path() / name).string(); }

  json run(const Placement& placement, int threads, const std::string& trace) const {
    const Row& row = kRows[GetParam()];
    const ProgramResult result = run_cogvx_gen({"--model",
                                                path("model"),
                                                "-p",
                                                kDemoPrompt,
                                                "--allow-untrained-size",
                                                "--width",
                                                "160",
                                                "--height",
                                                "112",
                                                "--frames",
                                                "13",
                                                "--vae-tile",
                                                "48x80",
                                                "--steps",
                                                "3",
                                                "--scheduler",
                                                row.scheduler,
                                                "--dynamic-cfg",
                                                row.dynamic_cfg,
                                                "-g",
                                                row.guidance,
                                                "--dtype",
                                                row.dtype,
                                                "--cp",
                                                std::to_string(placement.cp),
                                                "--sp",
                                                std::to_string(placement.sp),
                                                "--sp-mode",
                                                placement.mode,
                                                "--threads",
                                                std::to_string(threads),
                                                "--json",
                                                "--quiet",
                                                "--trace",
                                                path(trace),
                                                "--overwrite",
                                                "-o",
                                                path("v.mp4")});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return json::parse(result.out, nullptr, /*allow_exceptions=*/false);
  }

  void print(const Placement& placement, int threads, const json& report, bool same) const {
    const Row& row = kRows[GetParam()];
    std::printf(
        "%-15s %-4s dynamic %-3s guidance %s %s | %d x %d %-7s %d thread%s | %.12s %.12s %s\n",
        row.heads, row.scheduler, row.dynamic_cfg, row.guidance, row.dtype, placement.cp,
        placement.sp, placement.mode, threads, threads == 1 ? " " : "s",
        report["sha256_latents"].get<std::string>().c_str(),
        report["sha256_frames"].get<std::string>().c_str(), same ? "same" : "DIFFERENT");
    std::fflush(stdout);
  }

  // What each rank says it ran adds up to all there is.
  static void expect_each_unit_once(const json& report) {
    for (const auto& [kind, total] : report["units_of_all_ranks"].items()) {
      int64_t sum = 0;
      for (const json& rank : report["units"]) sum += rank[kind].get<int64_t>();
      EXPECT_EQ(sum, total.get<int64_t>()) << kind;
    }
  }
  static void expect_predicted_bytes(const json& report) {
    for (size_t rank = 0; rank < report["bytes_sent"].size(); ++rank) {
      for (const char* kind : {"attention", "gathered"})
        EXPECT_EQ(report["bytes_sent"][rank][kind], report["predicted_bytes_sent"][rank][kind]);
    }
  }

  TemporaryFolder folder_;
};

TEST_P(Grid, EveryPlacementGivesTheBytesOfOneProcess) {
  const Placement alone{1, 1, "ulysses"};
  const json one = run(alone, /*threads=*/1, "one.trace");
  ASSERT_TRUE(one.is_object());
  print(alone, 1, one, true);
  for (int i = 0; i < kPlacementCount; ++i) {
    if (!is_run(GetParam(), i)) continue;
    const Placement& placement = kPlacements[i];
    const int threads = 1 + (i + GetParam()) / 2 % 2;
    const json report = run(placement, threads, "several.trace");
    ASSERT_TRUE(report.is_object());
    const bool same = report["sha256_latents"] == one["sha256_latents"] &&
                      report["sha256_frames"] == one["sha256_frames"];
    print(placement, threads, report, same);
    EXPECT_TRUE(same) << run_cogvx_gen({.arguments = {path("one.trace"), path("several.trace")},
                                        .program = "cogvx-compare"})
                             .out;
    expect_each_unit_once(report);
    expect_predicted_bytes(report);
  }
}

INSTANTIATE_TEST_SUITE_P(Rows, Grid, testing::Range(0, kRowCount));

}  // namespace
}  // namespace cogvx::test
