// NCCL hangs where two ranks call its communicators in different orders. Here the whole pipeline
// runs on cp x sp virtual ranks over c10d backends that write down what they are asked for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/short_hash.h"
#include "parallel/agreement.h"
#include "tests/parallel/mesh_pipeline.h"
#include "tests/parallel/recording_backend.h"
#include "tests/parallel/sequence_modes.h"
#include "tests/parallel/thread_group.h"
#include "tests/support/cpu_path.h"

namespace cogvx {
namespace {

using namespace test;

// A rank's three groups as they are on GPUs, each over a backend that moves bytes through threads.
struct RankGroups {
  std::shared_ptr<Log> log = std::make_shared<Log>();
  std::unique_ptr<Group> world, sequence, branches;

  explicit RankGroups(const MeshGroups& movers)
      : world(make("world", movers.world)),
        sequence(make("sequence", movers.sequence)),
        branches(make("branches", movers.branches)) {}

 private:
  std::unique_ptr<Group> make(const char* name, Group& mover) const {
    if (mover.size() == 1) return std::make_unique<SingleGroup>();
    return std::make_unique<NcclGroup>(
        c10::make_intrusive<RecordingBackend>(
            mover.rank(), mover.size(),
            RecordingBackend::Parts{.name = name, .mover = &mover, .log = log}),
        GroupPlace{name, mover.rank(), mover.size()},
        NcclOptions{.device = at::kCPU, .watch_every = std::chrono::milliseconds(0)});
  }
};

struct MeshCase {
  int cp;
  int sp;
  SequenceMode mode;
  int head_groups = 1;
};
void PrintTo(const MeshCase& mesh, std::ostream* out) {
  *out << mesh.cp << "x" << mesh.sp << " " << name_of(mesh.mode) << ", head groups "
       << mesh.head_groups;
}

constexpr SequenceMode kHeads = SequenceMode::kUlysses, kRows = SequenceMode::kGather;

class OrderOfCalls : public testing::TestWithParam<MeshCase> {
 protected:
  static void SetUpTestSuite() {
    checkpoint_ = std::make_unique<TinyCheckpoint>(kSetting.checkpoint, StoredDtype::kFp32);
    ThreadPool pool(1);
    CpuOps ops(pool, test::cpu_path());
    IdentityExchange alone;
    OneWorker one;
    input_ = pipeline_input(**checkpoint_, kSetting);
    wanted_ = run_pipeline(**checkpoint_, input_, {alone, one, ops});
  }
  static void TearDownTestSuite() {
    checkpoint_.reset();
    input_ = {};
    wanted_ = {};
  }

  static constexpr PipelineSetting kSetting{"tiny-2b", at::kFloat, 6.0};
  static inline std::unique_ptr<TinyCheckpoint> checkpoint_;
  static inline PipelineInput input_;
  static inline PipelineResult wanted_;
};

TEST_P(OrderOfCalls, IsEqualOnAllRanksAndNoTwoGroupsAreUnderWayAtOnce) {
  const MeshCase mesh = GetParam();
  std::vector<Log> logs(mesh.cp * mesh.sp);
  run_mesh(mesh.cp, mesh.sp, [&](const MeshGroups& movers) {
    RankGroups groups(movers);
    ThreadPool pool(1);
    CpuOps ops(pool, test::cpu_path());
    const auto exchange =
        make_shared_sequence(mesh.mode, *groups.sequence, {.head_groups = mesh.head_groups});
    MeshWork work({movers.mesh, *groups.world, *groups.sequence, *groups.branches});
    const auto agree = [&](const DenoiseState& state) {
      check_agreement(*groups.world, "latents", short_hash(state.latents_LCYX));
    };
    const PipelineResult made = run_pipeline(**checkpoint_, input_, {*exchange, work, ops, agree});
    groups.world->barrier();
    EXPECT_TRUE(same_bytes(made.latents, wanted_.latents)) << "rank " << movers.mesh.rank;
    if (movers.mesh.rank == 0) {
      EXPECT_TRUE(same_bytes(made.frames, wanted_.frames));
    }
    logs[movers.mesh.rank] = *groups.log;
  });
  // One order over all groups together, which is more than each group needs.
  EXPECT_GT(logs[0].operations.size(), 10);
  for (size_t rank = 0; rank < logs.size(); ++rank) {
    SCOPED_TRACE("rank " + std::to_string(rank));
    EXPECT_EQ(logs[rank].operations, logs[0].operations);
    EXPECT_THAT(logs[rank].overlaps, testing::IsEmpty());
    EXPECT_THAT(logs[rank].under_way, testing::IsEmpty());
  }
}

INSTANTIATE_TEST_SUITE_P(Meshes, OrderOfCalls,
                         testing::Values(MeshCase{1, 2, kHeads}, MeshCase{1, 3, kHeads},
                                         MeshCase{1, 4, kHeads}, MeshCase{1, 4, kRows},
                                         MeshCase{2, 1, kHeads}, MeshCase{2, 2, kHeads, 2},
                                         MeshCase{2, 2, kRows}, MeshCase{2, 3, kHeads},
                                         MeshCase{2, 4, kHeads, 2}, MeshCase{2, 4, kRows}));

}  // namespace
}  // namespace cogvx
