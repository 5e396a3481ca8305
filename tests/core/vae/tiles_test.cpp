#include "core/vae/tiles.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/base/thread_pool.h"
#include "core/ops/cpu/cpu_ops.h"
#include "core/pipeline/request.h"
#include "tests/support/cpu_path.h"
#include "tests/support/golden.h"

namespace cogvx {
namespace {

using namespace test;

using Ranges = std::vector<RowRange>;

TEST(TemporalChunks, TheFirstTakesTheOddFrame) {
  EXPECT_EQ(temporal_chunks(1), (Ranges{{0, 1}}));
  EXPECT_EQ(temporal_chunks(2), (Ranges{{0, 2}}));
  EXPECT_EQ(temporal_chunks(3), (Ranges{{0, 3}}));
  EXPECT_EQ(temporal_chunks(4), (Ranges{{0, 2}, {2, 4}}));
  EXPECT_EQ(temporal_chunks(5), (Ranges{{0, 3}, {3, 5}}));
  EXPECT_EQ(temporal_chunks(13), (Ranges{{0, 3}, {3, 5}, {5, 7}, {7, 9}, {9, 11}, {11, 13}}));
}

TEST(TemporalChunks, CoverAllFramesWithoutGaps) {
  for (int64_t frames = 1; frames < 100; ++frames) {
    int64_t at = 0;
    for (const RowRange& chunk : temporal_chunks(frames)) {
      EXPECT_EQ(chunk.begin, at);
      EXPECT_GT(chunk.end, at);
      at = chunk.end;
    }
    EXPECT_EQ(at, frames);
  }
}

TEST(EncoderChunks, TheFirstTakesWhatIsLeftOver) {
  EXPECT_EQ(encoder_chunks(1), (Ranges{{0, 1}}));
  EXPECT_EQ(encoder_chunks(7), (Ranges{{0, 7}}));
  EXPECT_EQ(encoder_chunks(8), (Ranges{{0, 8}}));
  EXPECT_EQ(encoder_chunks(13), (Ranges{{0, 13}}));
  EXPECT_EQ(encoder_chunks(18), (Ranges{{0, 10}, {10, 18}}));
  EXPECT_EQ(encoder_chunks(49), (Ranges{{0, 9}, {9, 17}, {17, 25}, {25, 33}, {33, 41}, {41, 49}}));
}

std::vector<int64_t> tops(const TileLayout& layout) {
  std::vector<int64_t> found;
  for (size_t i = 0; i < layout.tiles.size(); i += static_cast<size_t>(layout.columns))
    found.push_back(layout.tiles[i].top);
  return found;
}

TEST(PlanTiles, TrainedSizeIsNineTiles) {
  const TileLayout layout = plan_tiles(default_tile(VaeConfig{}), 60, 90);
  EXPECT_EQ(default_tile(VaeConfig{}), (TileSize{240, 360}));
  ASSERT_EQ(layout.tiles.size(), 9U);
  EXPECT_EQ(layout.columns, 3);
  EXPECT_EQ(tops(layout), (std::vector<int64_t>{0, 25, 50}));
  const std::vector<int64_t> heights{30, 30, 10}, widths{45, 45, 18}, lefts{0, 36, 72};
  for (size_t i = 0; i < 9; ++i) {
    EXPECT_EQ(layout.tiles[i].top, static_cast<int64_t>(i / 3) * 25);
    EXPECT_EQ(layout.tiles[i].height, heights[i / 3]);
    EXPECT_EQ(layout.tiles[i].left, lefts[i % 3]);
    EXPECT_EQ(layout.tiles[i].width, widths[i % 3]);
  }
  EXPECT_EQ(layout.blend_height, 40);
  EXPECT_EQ(layout.blend_width, 72);
  EXPECT_EQ(layout.kept_height, 200);
  EXPECT_EQ(layout.kept_width, 288);
}

TEST(PlanTiles, LargeVideoIsTwentyTiles) {
  const TileLayout layout = plan_tiles({240, 360}, 96, 170);
  EXPECT_EQ(layout.tiles.size(), 20U);
  EXPECT_EQ(layout.columns, 5);
}

TEST(PlanTiles, EncodingCutsPixelsWhereDecodingCutsTheirLatents) {
  for (const auto& [tile, height, width] : {std::tuple{TileSize{240, 360}, 480, 720},
                                            {TileSize{240, 360}, 768, 1360},
                                            {TileSize{48, 40}, 112, 96},
                                            {TileSize{48, 80}, 48, 88},
                                            {TileSize{48, 80}, 48, 80},
                                            {TileSize{}, 480, 720}}) {
    const TileLayout decoded = plan_tiles(tile, height / 8, width / 8);
    const TileLayout encoded = plan_encoder_tiles(tile, height, width);
    EXPECT_EQ(encoded.columns, decoded.columns);
    EXPECT_EQ(encoded.blend_height * 8, decoded.blend_height);
    EXPECT_EQ(encoded.blend_width * 8, decoded.blend_width);
    EXPECT_EQ(encoded.kept_height * 8, decoded.kept_height);
    EXPECT_EQ(encoded.kept_width * 8, decoded.kept_width);
    ASSERT_EQ(encoded.tiles.size(), decoded.tiles.size());
    for (size_t i = 0; i < encoded.tiles.size(); ++i) {
      EXPECT_EQ(encoded.tiles[i].top, decoded.tiles[i].top * 8);
      EXPECT_EQ(encoded.tiles[i].left, decoded.tiles[i].left * 8);
      EXPECT_EQ(encoded.tiles[i].height, decoded.tiles[i].height * 8);
      EXPECT_EQ(encoded.tiles[i].width, decoded.tiles[i].width * 8);
    }
  }
  const TileLayout trained = plan_encoder_tiles({240, 360}, 480, 720);
  EXPECT_EQ(trained.blend_height, 5);
  EXPECT_EQ(trained.blend_width, 9);
  EXPECT_EQ(largest_tile(trained.tiles).height, 240);
}

TEST(PlanTiles, NoLargerThanATileIsOnePiece) {
  for (const TileSize tile : {TileSize{}, TileSize{240, 360}}) {
    const TileLayout layout = plan_tiles(tile, 30, 45);
    ASSERT_EQ(layout.tiles.size(), 1U);
    EXPECT_EQ(layout.tiles[0].height, 30);
    EXPECT_EQ(layout.tiles[0].width, 45);
  }
  EXPECT_EQ(plan_tiles({}, 500, 500).tiles.size(), 1U);
  EXPECT_EQ(plan_tiles({240, 360}, 31, 45).tiles.size(), 4U)
      << "one row too many and both dimensions are tiled";
}

class BlendTiles : public testing::Test {
 protected:
  ThreadPool pool_{1};
  CpuOps ops_{pool_, test::cpu_path()};
};

// Tiles cut from one picture blend back into it: what overlaps is equal.
TEST_F(BlendTiles, CutsOfOnePictureGiveThePicture) {
  const int64_t height = 23;
  const int64_t width = 31;
  const at::Tensor picture = at::arange(3 * 2 * height * 8 * width * 8, at::kFloat)
                                 .remainder(1021)
                                 .view({3, 2, height * 8, width * 8});
  const TileLayout layout = plan_tiles({96, 80}, height, width);
  ASSERT_GT(layout.tiles.size(), 4U);
  std::vector<at::Tensor> tiles;
  for (const Tile& t : layout.tiles) {
    tiles.push_back(
        picture.narrow(2, t.top * 8, t.height * 8).narrow(3, t.left * 8, t.width * 8).clone());
  }
  const at::Tensor blended = blend_tiles(layout, tiles, ops_);
  ASSERT_EQ(blended.sizes(), picture.sizes());
  EXPECT_LE(difference(blended, picture).max_abs, 1e-6);
}

TEST_F(BlendTiles, FadesLinearlyFromTheBlendedNeighbour) {
  // Four tiles of one constant each; every blend as the reference does it, above before left.
  const TileLayout layout{.tiles = {{0, 0, 1, 1}, {0, 1, 1, 1}, {1, 0, 1, 1}, {1, 1, 1, 1}},
                          .columns = 2,
                          .blend_height = 2,
                          .blend_width = 2,
                          .kept_height = 4,
                          .kept_width = 4};
  std::vector<at::Tensor> tiles;
  for (const double value : {0.0, 8.0, 16.0, 32.0}) tiles.push_back(at::full({1, 1, 4, 4}, value));
  const at::Tensor found = blend_tiles(layout, tiles, ops_)[0][0];
  // The corner: 32 fades from above (0, 4, 8 already blended), and that from the left.
  const at::Tensor wanted = at::tensor({0.,  0.,  0.,  0.,  0.,  4.,  8.,  8.,   //
                                        0.,  0.,  0.,  0.,  0.,  4.,  8.,  8.,   //
                                        0.,  0.,  0.,  0.,  0.,  4.,  8.,  8.,   //
                                        0.,  0.,  0.,  0.,  0.,  4.,  8.,  8.,   //
                                        0.,  0.,  0.,  0.,  0.,  2.,  8.,  8.,   //
                                        8.,  8.,  8.,  8.,  8.,  13., 20., 20.,  //
                                        16., 16., 16., 16., 16., 24., 32., 32.,  //
                                        16., 16., 16., 16., 16., 24., 32., 32.},
                                       at::kFloat)
                                .view({8, 8});
  EXPECT_TRUE(same_bytes(found, wanted)) << found;
}

TEST(Frames, ArithmeticOfTheReference) {
  EXPECT_EQ(decoded_frames(1), 1);
  EXPECT_EQ(decoded_frames(2), 8);
  EXPECT_EQ(decoded_frames(3), 9);
  EXPECT_EQ(decoded_frames(13), 49);
  EXPECT_EQ(decoded_frames(14), 56);
  EXPECT_EQ(decoded_frames(21), 81);
  EXPECT_EQ(decoded_frames(22), 88);
  EXPECT_EQ(decoded_frames(41), 161);
  for (const auto& [frames, latent] : std::vector<std::pair<int64_t, int64_t>>{
           {1, 1}, {2, 1}, {4, 1}, {5, 2}, {8, 2}, {9, 3}, {13, 4}, {49, 13}, {81, 21}, {85, 22}})
    EXPECT_EQ(encoded_frames(frames), latent) << frames << " frames";
  const Checkpoint checkpoint;
  for (const auto& [frames, latent] : std::vector<std::pair<int64_t, int64_t>>{
           {1, 1}, {8, 2}, {9, 3}, {49, 13}, {50, 13}, {53, 14}, {81, 21}, {161, 41}}) {
    Request request;
    request.num_frames = frames;
    request.width = 720;
    request.height = 480;
    const LatentShape shape = latent_shape(request, checkpoint);
    EXPECT_EQ(shape.frames, latent) << frames << " frames";
    EXPECT_EQ(shape.channels, 16);
    EXPECT_EQ(shape.height, 60);
    EXPECT_EQ(shape.width, 90);
  }
}

}  // namespace
}  // namespace cogvx
