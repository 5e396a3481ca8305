#include "core/pipeline/stage_ladder.h"

#include <ATen/ops/arange.h>
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "core/base/errors.h"
#include "core/base/short_hash.h"
#include "core/pipeline/stage_recorder.h"

namespace cogvx {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Part = Rung::Part;

constexpr int64_t kTextRows = 16;

UnitHash dealt(const Rung& rung, int64_t unit, uint64_t hash) { return {rung, 1, unit, hash}; }
UnitHash shared(const Rung& rung, uint64_t hash) { return {rung, 0, 0, hash}; }

// A run of two steps of two branches, one layer, three row blocks.
std::vector<UnitHash> whole_run() {
  std::vector<UnitHash> seen = {shared({Part::kText, 0, 1, 0}, 1), shared({Part::kStart}, 2)};
  for (int32_t step = 1; step <= 2; ++step) {
    for (int32_t branch = 0; branch < 2; ++branch) {
      for (int64_t block = 0; block < 3; ++block)
        seen.push_back(dealt({Part::kStep, step, branch, 1}, block, 10 + block));
      seen.push_back(shared({Part::kStep, step, branch, Rung::kPrediction}, 3));
    }
    seen.push_back(shared({Part::kStep, step, Rung::kLatents, 0}, 4));
  }
  seen.push_back(dealt({Part::kDecode, 0, 0, 1}, 0, 5));
  return seen;
}

StageLadder join(const std::vector<std::vector<UnitHash>>& witnesses) {
  return join_ladder(witnesses, kTextRows);
}

TEST(StageLadder, IsTheSameHoweverTheUnitsWereDealt) {
  const std::vector<UnitHash> all = whole_run();
  std::vector<std::vector<UnitHash>> ranks(3);
  for (size_t i = 0; i < all.size(); ++i) {
    for (size_t rank = 0; rank < ranks.size(); ++rank) {
      if (all[i].dealt == 0 || i % ranks.size() == rank) ranks[rank].push_back(all[i]);
    }
  }
  EXPECT_EQ(join(ranks), join({all}));
  EXPECT_THAT(join(ranks).contradictions, IsEmpty());
  EXPECT_EQ(first_difference(join({all}), join(ranks)), std::nullopt);
}

TEST(StageLadder, NamesTheFirstPlaceWhereTwoRunsPart) {
  const StageLadder wanted = join({whole_run()});
  const auto changed = [&](const Rung& rung, size_t unit) {
    StageLadder other = wanted;
    other.rungs.at(rung).at(unit) ^= 1;
    other.rungs.at({Part::kDecode, 0, 0, 1}).at(0) ^= 1;  // whatever follows differs too
    return first_difference(wanted, other).value_or("nothing");
  };
  EXPECT_EQ(changed({Part::kText, 0, 1, 0}, 0), "text states, branch with the prompt");
  EXPECT_EQ(changed({Part::kStart}, 0), "latents before the first step");
  EXPECT_EQ(changed({Part::kStep, 2, 0, 1}, 0),
            "step 2, branch without the prompt, layer 1, rows 0-63 (text and video)");
  EXPECT_EQ(changed({Part::kStep, 1, 1, 1}, 2),
            "step 1, branch with the prompt, layer 1, rows 128-191 (video)");
  EXPECT_EQ(changed({Part::kStep, 1, 1, Rung::kPrediction}, 0),
            "step 1, branch with the prompt, prediction");
  EXPECT_EQ(changed({Part::kStep, 2, Rung::kLatents, 0}, 0), "latents after step 2");
  StageLadder shorter = wanted;
  shorter.rungs.erase({Part::kStep, 2, 0, 1});
  EXPECT_EQ(
      first_difference(wanted, shorter),
      "step 2, branch without the prompt, layer 1, rows 0-63 (text and video) (only the first "
      "has it)");
}

TEST(StageLadder, SaysWhereTheProcessesOfOneRunContradictEachOther) {
  const Rung rows{Part::kStep, 1, 0, 1}, latents{Part::kStep, 1, Rung::kLatents, 0};
  EXPECT_THAT(join({{shared(latents, 1)}, {shared(latents, 2)}}).contradictions,
              ElementsAre("latents after step 1: rank 0 and rank 1 have different bytes"));
  EXPECT_THAT(join({{dealt(rows, 0, 1)}, {dealt(rows, 0, 1)}}).contradictions,
              ElementsAre("step 1, branch without the prompt, layer 1, rows 0-63 (text and video): "
                          "rank 0 and rank 1 both made it"));
  EXPECT_THAT(join({{dealt(rows, 0, 1)}, {dealt(rows, 2, 1)}}).contradictions,
              ElementsAre("step 1, branch without the prompt, layer 1, rows 64-127 (video): nobody "
                          "made it"));
}

TEST(StageLadder, GoesThroughJsonAndBack) {
  StageLadder ladder = join({whole_run(), {shared({Part::kStart}, 9)}});
  ladder.rungs.at({Part::kStart}).at(0) = 0xfedcba9876543210;
  ASSERT_EQ(ladder.contradictions.size(), 1U);
  EXPECT_EQ(ladder_from_json(ladder_to_json(ladder), "t"), ladder);
}

TEST(StageLadder, BadJsonIsRefusedByName) {
  const nlohmann::json good = ladder_to_json(join({whole_run()}));
  const auto message = [&](const auto& spoil) -> std::string {
    nlohmann::json bad = good;
    spoil(bad);
    try {
      ladder_from_json(bad, "t.trace");
    } catch (const DataError& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_THAT(message([](auto& j) { j["rungs"][1]["units"] = "12"; }),
              testing::StartsWith("t.trace: rungs[1]: 'units' is '12', wanted"));
  EXPECT_THAT(message([](auto& j) { j["rungs"][0]["part"] = "tea"; }), testing::HasSubstr("part"));
  EXPECT_THAT(message([](auto& j) { j["rungs"][1] = j["rungs"][0]; }), testing::HasSubstr("twice"));
  EXPECT_THAT(message([](auto& j) { j.erase("text_rows"); }), testing::HasSubstr("text_rows"));
  EXPECT_THAT(message([](auto& j) { j["rungs"] = 1; }), testing::HasSubstr("an array"));
}

TEST(StageRecorder, CutsRowsAtTheGlobalBlocksAndForgetsWhatWasTaken) {
  const at::Tensor x = at::arange(100 * 2).view({100, 2});
  StageRecorder recorder;
  recorder.rows({Part::kStep, 1, 0, 0}, x, /*first_row=*/64);
  const std::vector<UnitHash> seen = recorder.take();
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_EQ(seen[0].unit, 1);
  EXPECT_EQ(seen[1].unit, 2);
  EXPECT_EQ(seen[0].hash, short_hash(x.narrow(0, 0, 64)));
  EXPECT_EQ(seen[1].hash, short_hash(x.narrow(0, 64, 36)));
  EXPECT_THAT(recorder.take(), IsEmpty());
}

}  // namespace
}  // namespace cogvx
