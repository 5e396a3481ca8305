// The pipeline after the tokenizer on cp x sp ranks that share one GPU, over Gloo: the bytes of
// one.
#include <gtest/gtest.h>

#include <csignal>
#include <exception>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "core/base/sha256.h"
#include "parallel/rendezvous.h"
#include "parallel/shared_sequence.h"
#include "tests/gpu/gpu_ops.h"
#include "tests/gpu/staged_group.h"
#include "tests/parallel/mesh_pipeline.h"

namespace cogvx {
namespace {

using namespace test;
using std::chrono::seconds;

std::string hash_of(const at::Tensor& tensor) {
  const at::Tensor bytes = tensor.cpu().contiguous();
  return sha256_hex(bytes.const_data_ptr(), bytes.nbytes());
}

// Every rank a thread; to Gloo they are processes. Throws what the first of them threw.
void run_gloo_mesh(int cp, int sp, const std::function<void(const MeshGroups&)>& rank_main) {
  std::signal(SIGPIPE, SIG_IGN);
  const TemporaryFolder folder;
  std::mutex mutex;
  std::exception_ptr failure;
  const auto run_rank = [&](int rank) {
    const Mesh mesh = make_mesh(cp, sp, cp * sp, rank);
    const Rendezvous meeting = Rendezvous::by_file(folder / "meeting", cp * sp, seconds(60));
    const auto group = [&](const std::string& name, int place, int size) {
      return StagedGroup(meeting.make_gloo_group({name, place, size}));
    };
    StagedGroup world = group("world", rank, cp * sp);
    StagedGroup sequence = group("sequence-" + std::to_string(mesh.cp_rank()), mesh.sp_rank(), sp);
    StagedGroup branches = group("branches-" + std::to_string(mesh.sp_rank()), mesh.cp_rank(), cp);
    rank_main({mesh, world, sequence, branches});
  };
  std::vector<std::thread> ranks;
  for (int rank = 0; rank < cp * sp; ++rank) {
    ranks.emplace_back([&, rank] {
      try {
        run_rank(rank);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!failure) failure = std::current_exception();
      }
    });
  }
  for (std::thread& rank : ranks) rank.join();
  if (failure) std::rethrow_exception(failure);
}

class VirtualRanks : public testing::TestWithParam<at::ScalarType> {
 protected:
  std::unique_ptr<Ops> make_ops() const {
    return make_gpu_ops({.attention = attention_for(GetParam())});
  }
  void tell(const std::string& mesh, const PipelineResult& made) const {
    report({{"check", "ranks"},
            {"mesh", mesh},
            {"dtype", at::toString(GetParam())},
            {"attention", name_of(attention_for(GetParam()))},
            {"latents", hash_of(made.latents)},
            {"frames", made.frames.defined() ? hash_of(made.frames) : ""}});
  }
};

TEST_P(VirtualRanks, EveryCpTimesSpGivesTheBytesOfOneProcess) {
  const PipelineSetting setting{"tiny-30x16", GetParam()};
  const TinyCheckpoint checkpoint(
      setting.checkpoint, GetParam() == at::kFloat ? StoredDtype::kFp32 : StoredDtype::kBf16);
  IdentityExchange alone;
  OneWorker one;
  const auto ops = make_ops();
  const PipelineInput input = pipeline_input(*checkpoint, setting);
  const PipelineResult wanted = run_pipeline(*checkpoint, input, {alone, one, *ops});
  tell("one process", wanted);
  for (const auto& [cp, sp] : {std::pair{1, 2}, std::pair{1, 3}, std::pair{2, 2}}) {
    const std::string mesh = std::to_string(cp) + "x" + std::to_string(sp);
    run_gloo_mesh(cp, sp, [&](const MeshGroups& groups) {
      const auto own_ops = make_ops();
      const auto exchange = make_shared_sequence(SequenceMode::kUlysses, groups.sequence);
      MeshWork work(groups);
      const PipelineResult made = run_pipeline(*checkpoint, input, {*exchange, work, *own_ops});
      EXPECT_TRUE(same_bytes(made.latents, wanted.latents))
          << mesh << ", rank " << groups.mesh.rank;
      if (groups.mesh.rank != 0) return;
      EXPECT_TRUE(same_bytes(made.frames, wanted.frames)) << mesh;
      tell(mesh, made);
    });
  }
}

INSTANTIATE_TEST_SUITE_P(Dtypes, VirtualRanks, testing::Values(at::kFloat, at::kBFloat16),
                         [](const auto& dtype) { return std::string(at::toString(dtype.param)); });

}  // namespace
}  // namespace cogvx
