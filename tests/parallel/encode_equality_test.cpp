// Encoding an image or a video on cp x sp virtual ranks: the bytes of one.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <mutex>
#include <ostream>

#include "tests/parallel/thread_group.h"
#include "tests/support/cpu_path.h"
#include "tests/support/tiny_models.h"

namespace cogvx {
namespace {

using namespace test;

struct EncodeSetting {
  const char* checkpoint;
  at::ScalarType dtype;
  int64_t frames;
};
void PrintTo(const EncodeSetting& setting, std::ostream* out) {
  *out << setting.checkpoint << " " << setting.dtype << ", " << setting.frames << " frames";
}

struct Encoded {
  at::Tensor moments;
  std::vector<UnitHash> seen;
  UnitLedger units;
};

class EncodeOnAMesh : public testing::TestWithParam<EncodeSetting> {
 protected:
  EncodeOnAMesh()
      : checkpoint_(GetParam().checkpoint,
                    GetParam().dtype == at::kFloat ? StoredDtype::kFp32 : StoredDtype::kBf16) {}

  // Twelve tiles of unequal size.
  Encoded encode(WorkExchange& work, int threads) {
    ThreadPool pool(threads);
    CpuOps ops(pool, test::cpu_path());
    const VaeEncoder encoder = load_vae_encoder(*checkpoint_, GetParam().dtype, ops);
    at::Generator generator = make_generator(3);
    const at::Tensor pixels =
        draw_normal({3, GetParam().frames, 112, 200}, generator, GetParam().dtype);
    StageRecorder recorder;
    Encoded made;
    made.moments =
        encode_video({{48, 80}, encoder, work, {&recorder, &made.units}}, pixels, Monitor{});
    made.seen = recorder.take();
    return made;
  }

  TinyCheckpoint checkpoint_;
};

TEST_P(EncodeOnAMesh, EveryCpTimesSpAndThreadCountGivesTheBytesOfOneProcess) {
  OneWorker one;
  const Encoded wanted = encode(one, /*threads=*/1);
  ASSERT_EQ(wanted.moments.scalar_type(), GetParam().dtype);
  ASSERT_EQ(wanted.moments.sizes(),
            at::IntArrayRef({32, encoded_frames(GetParam().frames), 14, 25}));
  ASSERT_EQ(wanted.units, (UnitLedger{.vae_tiles = 12}));
  const std::vector<std::vector<UnitHash>> witness{wanted.seen};
  const StageLadder wanted_ladder = join_ladder(witness, /*text_rows=*/0);
  ASSERT_EQ(wanted_ladder.rungs.size(), 2U);
  for (const int threads : {2, 3})
    EXPECT_TRUE(same_bytes(encode(one, threads).moments, wanted.moments)) << threads << " threads";
  struct Case {
    int cp;
    int sp;
    int threads;
  };
  for (const auto& [cp, sp, threads] : {Case{1, 1, 1}, Case{1, 3, 1}, Case{1, 3, 2}, Case{1, 7, 1},
                                        Case{2, 2, 1}, Case{2, 2, 3}, Case{1, 13, 1}}) {
    SCOPED_TRACE("cp " + std::to_string(cp) + ", sp " + std::to_string(sp) + ", " +
                 std::to_string(threads) + " threads");
    std::mutex mutex;
    UnitLedger units;
    std::vector<std::vector<UnitHash>> seen;
    run_mesh(cp, sp, [&, threads = threads](const MeshGroups& groups) {
      MeshWork work(groups);
      Encoded made = encode(work, threads);
      EXPECT_TRUE(same_bytes(made.moments, wanted.moments)) << "rank " << groups.mesh.rank;
      const std::lock_guard lock(mutex);
      units += made.units;
      seen.push_back(std::move(made.seen));
    });
    EXPECT_EQ(units, wanted.units);
    EXPECT_EQ(join_ladder(seen, /*text_rows=*/0), wanted_ladder);
  }
}

INSTANTIATE_TEST_SUITE_P(Tiny, EncodeOnAMesh,
                         testing::Values(EncodeSetting{"tiny-2b", at::kFloat, 9},
                                         EncodeSetting{"tiny-5b", at::kBFloat16, 17},
                                         EncodeSetting{"tiny-30x16", at::kFloat, 1}));

}  // namespace
}  // namespace cogvx
