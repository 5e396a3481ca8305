// Resident memory of encoding and decoding, against the plan: in a process of its own, so that
// nothing else has grown its heap.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <span>

#include "core/base/memory.h"
#include "core/base/random.h"
#include "core/pipeline/memory_plan.h"
#include "core/vae/pixels.h"
#include "tests/support/cpu_path.h"
#include "tests/support/tiny_models.h"

namespace cogvx {
namespace {

using namespace test;

constexpr double kGib = 1024.0 * 1024 * 1024;

struct Case {
  int slim;  // the VAE's widths are divided by this
  at::ScalarType dtype;
  Request size;
  int threads;
};

Request sized(int64_t height, int64_t width, int64_t frames, TileSize tile = {}) {
  Request request;
  request.task = Task::kVideoToVideo;
  request.height = height;
  request.width = width;
  request.num_frames = frames;
  request.vae_tile = tile;
  return request;
}

void skip_unless_long() {
  if (std::getenv("COGVX_LONG") == nullptr) GTEST_SKIP() << "takes minutes; set COGVX_LONG";
}

class VaeMemory : public testing::Test {
 protected:
  // What `run` took at most, over `planned`: the plan's share of a stage.
  template <typename Run>
  double share_of_plan(const char* stage, const Case& c, int64_t MemoryPlan::*planned, Run run) {
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
    CpuOps ops(pool, test::cpu_path());
    run(checkpoint, request, ops);
    const auto found = static_cast<double>(peak_resident_bytes());
    const auto plan = static_cast<double>(plan_memory(checkpoint, request, c.threads).*planned);
    std::printf("%s, widths / %d, %s, %ld x %ld x %ld: %.3f GB, planned %.3f GB\n", stage, c.slim,
                at::toString(c.dtype), request.height, request.width, request.num_frames,
                found / 1e9, plan / 1e9);
    return found / plan;
  }

  double share_of_encoding(const Case& c) {
    return share_of_plan(
        "encode", c, &MemoryPlan::encode_video,
        [](const Checkpoint& checkpoint, const Request& request, Ops& ops) {
          OneWorker work;
          const VaeEncoder encoder = load_vae_encoder(checkpoint, request.dtype, ops);
          const at::Tensor bytes =
              at::full({request.num_frames, request.height, request.width, 3}, 77, at::kByte);
          encode_video({request.vae_tile, encoder, work}, pixels_from_bytes(bytes, request.dtype),
                       {});
        });
  }

  double share_of_decoding(const Case& c) {
    return share_of_plan("decode", c, &MemoryPlan::decode,
                         [](const Checkpoint& checkpoint, const Request& request, Ops& ops) {
                           OneWorker work;
                           const VaeDecoder decoder = load_vae(checkpoint, request.dtype, ops);
                           const LatentShape shape = latent_shape(request, checkpoint);
                           at::Generator generator = make_generator(1);
                           const at::Tensor latents = draw_normal(
                               {shape.frames, shape.channels, shape.height, shape.width}, generator,
                               at::kFloat);
                           decode_latents({request, decoder, checkpoint.vae.scaling_factor, work},
                                          latents, Monitor{});
                         });
  }

  void expect_planned(double share) {
    if (share == 0) GTEST_SKIP() << "this kernel does not start a peak anew";
    EXPECT_LE(share, 1.15);
    EXPECT_GE(share, 0.85);
  }
};

// Sizes that show weights, chunks and tiles; the real widths below.
const Case kSmall[] = {{4, at::kFloat, sized(160, 240, 17), 2},
                       {4, at::kBFloat16, sized(160, 240, 17), 2},
                       {8, at::kFloat, sized(336, 280, 9, {240, 160}), 2}};
// One tile of the trained size, all channels: minutes of two cores.
const Case kTrainedTile{1, at::kBFloat16, sized(240, 360, 17), 2};

TEST_F(VaeMemory, OfEncodingIsThePlanWithin15Percent) {
  for (const Case& c : kSmall) expect_planned(share_of_encoding(c));
}

TEST_F(VaeMemory, OfDecodingIsThePlanWithin15Percent) {
  for (const Case& c : std::span(kSmall).subspan(1)) expect_planned(share_of_decoding(c));
}

TEST_F(VaeMemory, OfEncodingOneTrainedTileIsThePlanWithin15Percent) {
  skip_unless_long();
  if (!IsSkipped()) expect_planned(share_of_encoding(kTrainedTile));
}

TEST_F(VaeMemory, OfDecodingOneTrainedTileIsThePlanWithin15Percent) {
  skip_unless_long();
  if (!IsSkipped()) expect_planned(share_of_decoding(kTrainedTile));
}

TEST_F(VaeMemory, OfWholeVideosInTilesIsPlannedWithin24Gib) {
  const TileSize tile = default_tile(VaeConfig{});
  for (const auto dtype : {at::kBFloat16, at::kFloat}) {
    for (Request request : {sized(480, 720, 49, tile), sized(768, 1360, 81, tile)}) {
      request.dtype = dtype;
      const MemoryPlan plan = plan_memory(Checkpoint{}, request, /*threads=*/2);
      std::printf("%ld x %ld x %ld in tiles, %s: planned to encode %.3f GB, to decode %.3f GB\n",
                  request.num_frames, request.height, request.width, at::toString(dtype),
                  static_cast<double>(plan.encode_video) / 1e9,
                  static_cast<double>(plan.decode) / 1e9);
      EXPECT_LE(static_cast<double>(plan.encode_video), 24 * kGib);
      EXPECT_LE(static_cast<double>(plan.decode), 24 * kGib);
    }
  }
}

}  // namespace
}  // namespace cogvx
