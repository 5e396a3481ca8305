// Resident memory of encoding, against the plan: in a process of its own, so that nothing else has
// grown its heap.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "core/base/memory.h"
#include "core/pipeline/memory_plan.h"
#include "core/vae/pixels.h"
#include "tests/support/tiny_models.h"

namespace cogvx {
namespace {

using namespace test;

struct Case {
  int slim;  // the VAE's widths are divided by this
  at::ScalarType dtype;
  Request size;
  int threads;
};

Request sized(int64_t height, int64_t width, int64_t frames, TileSize tile = {}) {
  Request request;
  request.height = height;
  request.width = width;
  request.num_frames = frames;
  request.vae_tile = tile;
  return request;
}

class EncodeMemory : public testing::Test {
 protected:
  // What the run took at most, over the plan.
  double share_of_plan(const Case& c) {
    const TemporaryFolder folder;
    const std::string command =
        "python3 '" + (source_dir() / "scripts" / "make_random_checkpoint.py").string() +
        "' --geometry 2b --layers 0 --text-layers 0 --text-width 64 --slim-vae " +
        std::to_string(c.slim) + " --tokenizer '" +
        (source_dir() / "configs/demo/tokenizer/spiece.model").string() + "' '" +
        folder.path().string() + "'";
    EXPECT_EQ(std::system(command.c_str()), 0);
    Checkpoint checkpoint;
    checkpoint.dir = folder.path();
    checkpoint.vae =
        parse_vae_config(read_json_object(folder.path() / "vae" / "config.json"), "config.json");
    Request request = c.size;
    request.dtype = c.dtype;
    release_free_memory();
    if (!reset_peak_resident()) return 0;
    ThreadPool pool(c.threads);
    CpuOps ops(pool);
    OneWorker work;
    const VaeEncoder encoder = load_vae_encoder(checkpoint, c.dtype, ops);
    const at::Tensor bytes =
        at::full({request.num_frames, request.height, request.width, 3}, 77, at::kByte);
    encode_video({request.vae_tile, encoder, work}, pixels_from_bytes(bytes, c.dtype), {});
    const auto found = static_cast<double>(peak_resident_bytes());
    const auto plan =
        static_cast<double>(plan_encode_video(checkpoint, request, request.num_frames, c.threads));
    std::printf("widths / %d, %s, %ld x %ld x %ld: %.3f GB, planned %.3f GB\n", c.slim,
                at::toString(c.dtype), request.height, request.width, request.num_frames,
                found / 1e9, plan / 1e9);
    return found / plan;
  }
};

TEST_F(EncodeMemory, PeakIsThePlanWithin15Percent) {
  for (const Case& c :
       {Case{4, at::kFloat, sized(160, 240, 17), 2}, Case{4, at::kBFloat16, sized(160, 240, 17), 2},
        Case{8, at::kFloat, sized(336, 280, 9, {240, 160}), 2}}) {
    const double share = share_of_plan(c);
    if (share == 0) GTEST_SKIP() << "this kernel does not start a peak anew";
    EXPECT_LE(share, 1.15);
    EXPECT_GE(share, 0.85);
  }
}

// One tile of the trained size, all channels: minutes of two cores.
TEST_F(EncodeMemory, OfOneTrainedTileIsThePlanWithin15Percent) {
  if (std::getenv("COGVX_LONG") == nullptr) GTEST_SKIP() << "takes minutes; set COGVX_LONG";
  const double share = share_of_plan({1, at::kBFloat16, sized(240, 360, 17), 2});
  EXPECT_LE(share, 1.15);
  EXPECT_GE(share, 0.85);
}

}  // namespace
}  // namespace cogvx
