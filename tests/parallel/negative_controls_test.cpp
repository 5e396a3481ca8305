// The tests of equal bytes would be worth nothing if they could not fail: each defect that makes a
// video depend on its processes is planted, is seen, and the stage ladder says where it begins.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>

#include "core/base/thread_pool.h"
#include "core/ops/cpu/cpu_ops.h"
#include "parallel/ulysses_exchange.h"
#include "tests/parallel/defects.h"
#include "tests/parallel/mesh_pipeline.h"
#include "tests/parallel/thread_group.h"
#include "tests/support/cpu_path.h"

namespace cogvx {
namespace {

using namespace test;

// Shared out among the processes of a machine, as the program does it.
constexpr int kCores = 4;
// Of final latents in fp32, in relative L2; diffusers' are allowed as much.
constexpr double kRightAnswer = 3e-5;

struct Outcome {
  StageLadder ladder;
  at::Tensor latents;
  at::Tensor frames;
};

PipelineInput input_of(const Defect& defect, const Checkpoint& checkpoint) {
  if (defect.task == nullptr)
    return pipeline_input(checkpoint, {.checkpoint = defect.checkpoint.c_str()});
  const GoldenCase golden = golden_case(defect.checkpoint, defect.task);
  return golden_pipeline_input(checkpoint, golden, at::kFloat);
}

Outcome run_on(const Checkpoint& checkpoint, const PipelineInput& input, int cp, int sp,
               void (*plant)(ProcessParts&)) {
  std::vector<std::vector<UnitHash>> seen(cp * sp);
  Outcome outcome;
  run_mesh(cp, sp, [&](const MeshGroups& groups) {
    ThreadPool pool(std::max(1, kCores / (cp * sp)));
    ProcessParts parts{.groups = groups,
                       .exchange = std::make_unique<UlyssesExchange>(groups.sequence),
                       .work = std::make_unique<MeshWork>(groups),
                       .ops = std::make_unique<CpuOps>(pool, test::cpu_path()),
                       .text_rows = input.request.max_text_tokens,
                       .threads = pool.size()};
    if (plant != nullptr) plant(parts);
    const PipelineResult result =
        run_pipeline(checkpoint, input, {*parts.exchange, *parts.work, *parts.ops});
    seen[groups.mesh.rank] = result.seen;
    if (groups.mesh.rank == 0) {
      outcome.latents = result.latents;
      outcome.frames = result.frames;
    }
  });
  outcome.ladder = join_ladder(seen, input.request.max_text_tokens);
  return outcome;
}

class NegativeControl : public testing::TestWithParam<Defect> {};

TEST_P(NegativeControl, IsCaughtAndTheLadderSaysWhereItBegins) {
  const Defect& defect = GetParam();
  const TinyCheckpoint checkpoint(defect.checkpoint);
  const PipelineInput input = input_of(defect, *checkpoint);
  const Outcome one = run_on(*checkpoint, input, 1, 1, defect.plant);
  const Outcome several = run_on(*checkpoint, input, defect.cp, defect.sp, defect.plant);
  // What the processes of one run contradict each other in, they say themselves.
  const std::string verdict =
      several.ladder.contradictions.empty()
          ? first_difference(one.ladder, several.ladder).value_or("NOT SEEN")
          : several.ladder.contradictions[0];
  std::printf("control: %s, 1 x 1 against %d x %d: %s\n", defect.name.c_str(), defect.cp, defect.sp,
              verdict.c_str());
  EXPECT_EQ(verdict.find(defect.place), 0U) << verdict;
  EXPECT_FALSE(same_bytes(one.frames, several.frames));
}

INSTANTIATE_TEST_SUITE_P(Exchanges, NegativeControl, testing::ValuesIn(exchange_defects()));
INSTANTIATE_TEST_SUITE_P(Work, NegativeControl, testing::ValuesIn(work_defects()));
INSTANTIATE_TEST_SUITE_P(Ops, NegativeControl, testing::ValuesIn(op_defects()));

// Else a control would show no more than that nonsense is seen.
class DefectOfOps : public testing::TestWithParam<Defect> {};

TEST_P(DefectOfOps, IsARightAnswerOnOneProcess) {
  const Defect& defect = GetParam();
  const TinyCheckpoint checkpoint(defect.checkpoint);
  const PipelineInput input = input_of(defect, *checkpoint);
  const at::Tensor sound = run_on(*checkpoint, input, 1, 1, nullptr).latents;
  const at::Tensor found = run_on(*checkpoint, input, 1, 1, defect.plant).latents;
  const double error = difference(found, sound).relative_l2;
  std::printf("control: %s, on one process: relative L2 %.1e\n", defect.name.c_str(), error);
  EXPECT_LE(error, kRightAnswer);
}

INSTANTIATE_TEST_SUITE_P(Ops, DefectOfOps, testing::ValuesIn(op_defects()));

TEST(StageLadderOfARun, IsTheSameOnEverySoundMesh) {
  for (const char* name : {"tiny-2b", "tiny-5b"}) {
    const TinyCheckpoint checkpoint(name);
    const PipelineInput input = pipeline_input(*checkpoint, {.checkpoint = name});
    const Outcome one = run_on(*checkpoint, input, 1, 1, nullptr);
    for (const auto& [cp, sp] : {std::pair{1, 3}, std::pair{2, 2}}) {
      const Outcome several = run_on(*checkpoint, input, cp, sp, nullptr);
      EXPECT_EQ(several.ladder.contradictions, std::vector<std::string>{});
      EXPECT_EQ(first_difference(one.ladder, several.ladder), std::nullopt) << cp << " x " << sp;
    }
  }
}

}  // namespace
}  // namespace cogvx
