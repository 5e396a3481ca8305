// The whole pipeline after the tokenizer on cp x sp virtual ranks: the bytes of one.
#include <gtest/gtest.h>

#include <mutex>

#include "core/base/short_hash.h"
#include "parallel/agreement.h"
#include "tests/parallel/mesh_pipeline.h"
#include "tests/parallel/sequence_modes.h"
#include "tests/parallel/thread_group.h"
#include "tests/support/cpu_path.h"

namespace cogvx {
namespace {

using namespace test;

class PipelineOnAMesh : public testing::TestWithParam<PipelineSetting> {};

TEST_P(PipelineOnAMesh, EveryCpTimesSpGivesTheBytesOfOneProcess) {
  const PipelineSetting setting = GetParam();
  const TinyCheckpoint checkpoint(
      setting.checkpoint, setting.dtype == at::kFloat ? StoredDtype::kFp32 : StoredDtype::kBf16);
  ThreadPool pool(1);
  CpuOps ops(pool, test::cpu_path());
  IdentityExchange alone;
  OneWorker one;
  const PipelineInput input = pipeline_input(*checkpoint, setting);
  const PipelineResult wanted = run_pipeline(*checkpoint, input, {alone, one, ops});
  ASSERT_EQ(wanted.frames.sizes(), at::IntArrayRef({16, 112, 160, 3}));
  struct Case {
    int cp;
    int sp;
    SequenceMode mode;
  };
  constexpr SequenceMode kHeads = SequenceMode::kUlysses, kRows = SequenceMode::kGather;
  for (const auto& [cp, sp, mode] :
       {Case{1, 2, kHeads}, Case{1, 3, kHeads}, Case{1, 5, kHeads}, Case{1, 8, kHeads},
        Case{2, 1, kHeads}, Case{2, 2, kHeads}, Case{2, 3, kHeads}, Case{1, 3, kRows},
        Case{2, 2, kRows}, Case{1, 8, kRows}}) {
    if (cp == 2 && setting.guidance_scale <= 1) continue;
    SCOPED_TRACE("cp " + std::to_string(cp) + ", sp " + std::to_string(sp) + ", " + name_of(mode));
    std::mutex mutex;
    UnitLedger units;
    run_mesh(cp, sp, [&, mode = mode](const MeshGroups& groups) {
      ThreadPool own_pool(1);
      CpuOps own_ops(own_pool, test::cpu_path());
      const auto exchange = make_shared_sequence(mode, groups.sequence);
      MeshWork work(groups);
      const auto agree = [&](const DenoiseState& state) {
        check_agreement(groups.world, "latents", short_hash(state.latents_LCYX));
      };
      const PipelineResult made =
          run_pipeline(*checkpoint, input, {*exchange, work, own_ops, agree});
      EXPECT_TRUE(same_bytes(made.latents, wanted.latents)) << "rank " << groups.mesh.rank;
      EXPECT_EQ(made.frames.defined(), groups.mesh.rank == 0);
      if (groups.mesh.rank == 0) {
        EXPECT_TRUE(same_bytes(made.frames, wanted.frames));
      }
      const std::lock_guard lock(mutex);
      units += made.units;
    });
    EXPECT_EQ(units, wanted.units);
  }
}

INSTANTIATE_TEST_SUITE_P(Tiny, PipelineOnAMesh,
                         testing::Values(PipelineSetting{"tiny-2b", at::kFloat, 6.0},
                                         PipelineSetting{"tiny-2b", at::kBFloat16, 1.0},
                                         PipelineSetting{"tiny-5b", at::kBFloat16, 6.0},
                                         PipelineSetting{"tiny-30x16", at::kFloat, 6.0}));

}  // namespace
}  // namespace cogvx
