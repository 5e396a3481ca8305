#include <ATen/ops/full.h>

#include <cmath>

#include "core/vae/tiles.h"
#include "tests/core/ops/cuda/kernel_cases.h"

namespace cogvx {
namespace {

using namespace test;
using cuda::FadeAxis;

class CudaVideoKernels : public CudaKernels {};

int dim_of(FadeAxis axis) { return axis == FadeAxis::kY ? 2 : 3; }

struct Seam {
  at::Tensor before;
  at::Tensor tile;  // the lines that are faded
  cuda::BlendCall call;
};

// What blend_tiles does at one seam: last lines of one tile, first lines of the next.
Seam seam(const at::Tensor& before, const at::Tensor& tile, FadeAxis axis, int64_t extent) {
  const int dim = dim_of(axis);
  const int64_t lines = std::min({before.size(dim), tile.size(dim), extent});
  Seam s{.before = before.narrow(dim, before.size(dim) - lines, lines),
         .tile = tile.narrow(dim, 0, lines),
         .call = {}};
  s.call = cuda::fade_call(s.before, s.tile, dim);
  return s;
}

// Which elements of `whole` the view holds.
std::vector<uint8_t> elements_of(const at::Tensor& whole, const Seam& s) {
  at::Tensor marks = at::full(whole.sizes(), 0, at::kByte);
  marks.narrow(2, 0, s.tile.size(2)).narrow(3, 0, s.tile.size(3)).fill_(1);
  const auto* begin = marks.const_data_ptr<uint8_t>();
  return {begin, begin + marks.numel()};
}

TileLayout two_tiles(FadeAxis axis, int64_t extent) {
  TileLayout layout{.columns = axis == FadeAxis::kY ? 1 : 2};
  (axis == FadeAxis::kY ? layout.blend_height : layout.blend_width) = extent;
  layout.kept_height = layout.kept_width = 1;
  return layout;
}

struct SeamShape {
  int64_t channels;
  int64_t frames;
  int64_t height;
  int64_t width;
  int64_t extent;
};

// 25 along each axis: the trained tile, its edge pieces, small and odd ones; 17,776 lines.
std::vector<SeamShape> seam_shapes() {
  std::vector<SeamShape> shapes{{1, 16, 1111, 5, 1111}};
  for (const int64_t frames : {1, 2, 9}) {
    shapes.push_back({3, frames, 240, 45, 40});
    shapes.push_back({3, frames, 33, 360, 72});
    shapes.push_back({3, frames, 48, 40, 8});
    shapes.push_back({3, frames, 1, 1, 1});
    shapes.push_back({3, frames, 5, 7, 9});
    shapes.push_back({3, frames, 65, 129, 64});
    shapes.push_back({3, frames, 64, 17, 2});
    shapes.push_back({1, frames, 63, 2, 63});
  }
  return shapes;
}

TEST_P(CudaVideoKernels, BlendIsTheCpusBitForBit) {
  for (const FadeAxis axis : {FadeAxis::kY, FadeAxis::kX}) {
    for (const SeamShape shape : seam_shapes()) {
      SCOPED_TRACE(std::to_string(shape.frames) + " frames of " + std::to_string(shape.height) +
                   " x " + std::to_string(shape.width));
      const std::vector<int64_t> size{shape.channels, shape.frames, shape.height, shape.width};
      const at::Tensor before = own("before", size);
      const at::Tensor tile = own("tile", size);
      const at::Tensor wanted = tile.clone();
      blend_tiles(two_tiles(axis, shape.extent), {before.clone(), wanted}, ops_);
      const Seam s = seam(before, tile, axis, shape.extent);
      GridWatch watch;
      watch_input(watch, "before", before);
      watch_output(watch, "tile", tile, elements_of(tile, s));
      watch.run(s.call);
      EXPECT_TRUE(watch.clean()) << watch.report();
      EXPECT_TRUE(equal_bits(tile, wanted));
    }
  }
}

// Corners are faded twice, from tiles that are faded themselves; edge tiles are smaller.
TEST_P(CudaVideoKernels, SeamsInOrderMakeTheCpusPicture) {
  TileLayout layout{
      .columns = 2, .blend_height = 8, .blend_width = 10, .kept_height = 40, .kept_width = 30};
  const std::vector<std::pair<int64_t, int64_t>> sizes{{48, 40}, {48, 7}, {21, 40}, {21, 7}};
  std::vector<at::Tensor> tiles, wanted;
  for (const auto& [height, width] : sizes) {
    tiles.push_back(own("tile" + std::to_string(tiles.size()), {3, 2, height, width}));
    wanted.push_back(tiles.back().clone());
  }
  blend_tiles(layout, wanted, ops_);
  for (size_t i = 0; i < tiles.size(); ++i) {
    std::vector<Seam> seams;
    if (i >= 2) seams.push_back(seam(tiles[i - 2], tiles[i], FadeAxis::kY, layout.blend_height));
    if (i % 2 == 1) seams.push_back(seam(tiles[i - 1], tiles[i], FadeAxis::kX, layout.blend_width));
    for (const Seam& s : seams) EXPECT_TRUE(run_on_host(s.call));
    EXPECT_TRUE(equal_bits(tiles[i], wanted[i])) << "tile " << i;
  }
}

TEST_P(CudaVideoKernels, BytesAreTheCpus) {
  std::vector<std::vector<int64_t>> shapes{{3, 16, 1111, 9}, {3, 2, 480, 720}};
  for (const int64_t frames : {1, 2, 9}) {
    for (const int64_t height : {1, 2, 63, 65}) {
      for (const int64_t width : {1, 7, 64, 257}) shapes.push_back({3, frames, height, width});
    }
  }
  for (const auto& shape : shapes) {
    SCOPED_TRACE(std::to_string(shape[1]) + " frames of " + std::to_string(shape[2]) + " x " +
                 std::to_string(shape[3]));
    const at::Tensor video = own("video", shape, 0, 0.8);
    const at::Tensor rgb = at::empty({shape[1], shape[2], shape[3], 3}, at::kByte);
    GridWatch watch;
    watch_input(watch, "video", video);
    watch_output(watch, "rgb", rgb);
    watch.run(cuda::rgb_call(video, rgb));
    EXPECT_TRUE(watch.clean()) << watch.report();
    EXPECT_TRUE(equal_bits(rgb, ops_.to_rgb(video)));
  }
}

// Every number of 16 bits but NaN; fp32 takes those of fp16.
TEST_P(CudaVideoKernels, EveryFiniteNumberHasTheCpusByte) {
  at::Tensor patterns = at::empty({3 << 16}, at::kShort);
  for (int64_t i = 0; i < patterns.numel(); ++i)
    patterns.mutable_data_ptr<int16_t>()[i] = static_cast<int16_t>(i);
  const at::Tensor as_half = patterns.view(GetParam() == at::kBFloat16 ? at::kBFloat16 : at::kHalf);
  at::Tensor video = as_half.to(GetParam(), /*non_blocking=*/false, /*copy=*/true);
  video = video.masked_fill(video.ne(video), 0).view({3, 1, 256, 256});
  const at::Tensor rgb = at::empty({1, 256, 256, 3}, at::kByte);
  EXPECT_TRUE(run_on_host(cuda::rgb_call(video, rgb)));
  EXPECT_TRUE(equal_bits(rgb, ops_.to_rgb(video)));
}

// Numbers that lie, after fp32's own roundings, exactly between two bytes.
TEST(CudaColourByte, TiesGoToTheEvenByte) {
  int ties = 0;
  for (int k = 0; k < 255; ++k) {
    const float x = (static_cast<float>(k) + 0.5F) / 127.5F - 1.0F;
    const float scaled = (x * 0.5F + 0.5F) * 255.0F;
    if (scaled != static_cast<float>(k) + 0.5F) continue;
    ++ties;
    EXPECT_EQ(cuda::colour_byte<float>(x) % 2, 0) << k;
  }
  EXPECT_GT(ties, 20);
}

INSTANTIATE_TEST_SUITE_P(Video, CudaVideoKernels,
                         testing::Values(at::kFloat, at::kBFloat16, at::kHalf), dtype_label);

}  // namespace
}  // namespace cogvx
