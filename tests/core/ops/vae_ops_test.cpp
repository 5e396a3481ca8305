#include "tests/core/ops/ops_test_support.h"

namespace cogvx {
namespace {

using namespace test;

class VaeOps : public OpsTest {};

TEST_P(VaeOps, ConvolutionAgreesWithAtenInDouble) {
  struct Case {
    int64_t in, out, kernel_frames, kernel;
  };
  // 128 output channels and more are cut in two.
  for (const Case c :
       {Case{5, 7, 3, 3}, Case{16, 128, 3, 3}, Case{6, 10, 1, 3}, Case{16, 9, 1, 1}}) {
    for (const auto& [frames, height, width] :
         std::vector<std::array<int64_t, 3>>{{1, 3, 5}, {3, 8, 7}, {5, 1, 1}}) {
      const at::Tensor x = own("conv.x", {c.in, frames + c.kernel_frames - 1, height, width});
      const ConvWeights w{
          own("conv.weight", {c.out, c.in, c.kernel_frames, c.kernel, c.kernel}, 0, 0.1),
          own("conv.bias", {c.out})};
      const int64_t pad = (c.kernel - 1) / 2;
      const at::Tensor exact = at::conv3d(x.to(at::kDouble).unsqueeze(0), w.weight.to(at::kDouble),
                                          w.bias.to(at::kDouble), {1, 1, 1}, {0, pad, pad})
                                   .squeeze(0);
      EXPECT_TRUE(close(ops_.convolution(x, w), exact, rounding_limit(dtype())))
          << c.in << " to " << c.out << ", " << frames << " frames";
    }
  }
}

// The encoder's downsampling: what it wants around a frame, the caller has put there.
TEST_P(VaeOps, AConvolutionWithAStridePadsNothing) {
  for (const int64_t channels : {6, 128}) {
    for (const auto& [frames, height, width] :
         std::vector<std::array<int64_t, 3>>{{1, 3, 3}, {3, 9, 6}, {2, 4, 7}}) {
      const at::Tensor x = own("conv.x", {channels, frames, height, width});
      const ConvWeights w{own("conv.weight", {channels, channels, 1, 3, 3}, 0, 0.1),
                          own("conv.bias", {channels}), /*stride=*/2};
      const at::Tensor exact = at::conv3d(x.to(at::kDouble).unsqueeze(0), w.weight.to(at::kDouble),
                                          w.bias.to(at::kDouble), {1, 2, 2})
                                   .squeeze(0);
      EXPECT_TRUE(close(ops_.convolution(x, w), exact, rounding_limit(dtype())))
          << channels << " channels, " << frames << " frames of " << height << " x " << width;
    }
  }
}

// Nearest neighbour as diffusers' SpatialNorm has it: an odd count of frames above one keeps its
// first frame apart.
at::Tensor enlarged(const at::Tensor& from_Ctyx, const at::Tensor& like_CTYX) {
  const int64_t frames = like_CTYX.size(1);
  const auto nearest = [&](const at::Tensor& part, int64_t count) {
    return at::upsample_nearest3d(part.unsqueeze(0).to(at::kFloat),
                                  {count, like_CTYX.size(2), like_CTYX.size(3)})
        .squeeze(0)
        .to(at::kDouble);
  };
  if (frames == 1 || frames % 2 == 0) return nearest(from_Ctyx, frames);
  return at::cat({nearest(from_Ctyx.narrow(1, 0, 1), 1),
                  nearest(from_Ctyx.narrow(1, 1, from_Ctyx.size(1) - 1), frames - 1)},
                 1);
}

TEST_P(VaeOps, NormSiluAgreesWithAtenInDouble) {
  // frames of x; frames, height and width of the latent grid
  for (const auto& [frames, t, y, x] : std::vector<std::array<int64_t, 4>>{{1, 1, 3, 4},
                                                                           {2, 2, 3, 4},
                                                                           {4, 2, 3, 4},
                                                                           {3, 3, 3, 4},
                                                                           {9, 3, 3, 4},
                                                                           {5, 3, 3, 4},
                                                                           {13, 13, 3, 4},
                                                                           {9, 5, 3, 2}}) {
    const at::Tensor input = own("norm_silu.x", {12, frames, 6, 12}, 0.3, 2);
    const NormWeights norm{values("norm_silu.weight", {12}), values("norm_silu.bias", {12}), 1e-6};
    at::Tensor exact =
        at::group_norm(input.to(at::kDouble).unsqueeze(0), 4, norm.weight.to(at::kDouble),
                       norm.bias.to(at::kDouble), norm.eps)
            .squeeze(0);
    at::Tensor plain = at::empty_like(input);
    ops_.norm_silu(input, {.norm = norm, .groups = 4, .scale_Ctyx = {}, .shift_Ctyx = {}}, plain);
    EXPECT_TRUE(close(plain, at::silu(exact), rounding_limit(dtype())));

    const at::Tensor scale = own("norm_silu.scale", {12, t, y, x});
    const at::Tensor shift = own("norm_silu.shift", {12, t, y, x});
    exact = at::silu(exact * enlarged(scale, input) + enlarged(shift, input));
    const NormSiluCall call{.norm = norm, .groups = 4, .scale_Ctyx = scale, .shift_Ctyx = shift};
    at::Tensor found = at::empty_like(input);
    ops_.norm_silu(input, call, found);
    EXPECT_TRUE(close(found, exact, rounding_limit(dtype()))) << frames << " frames from " << t;
    // Behind room for two frames, as the decoder calls it.
    const at::Tensor padded = at::empty({12, frames + 2, 6, 12}, input.options());
    at::Tensor view = padded.narrow(1, 2, frames);
    ops_.norm_silu(input, call, view);
    EXPECT_TRUE(same_bytes(view, found));
  }
}

TEST_P(VaeOps, NormSiluUsesItsEpsilonAndCentredSquares) {
  const NormWeights norm{at::ones({4}), at::zeros({4}), 1e-4};
  for (const double mean : {0.0, 100.0}) {
    const double std = mean == 0 ? 0.01 : 1;
    const at::Tensor x = own("norm_silu.far", {4, 3, 40, 50}, mean, std);
    const at::Tensor exact =
        at::silu(at::group_norm(x.to(at::kDouble).unsqueeze(0), 2, at::ones({4}, at::kDouble),
                                at::zeros({4}, at::kDouble), 1e-4)
                     .squeeze(0));
    at::Tensor found = at::empty_like(x);
    ops_.norm_silu(x, {.norm = norm, .groups = 2, .scale_Ctyx = {}, .shift_Ctyx = {}}, found);
    EXPECT_TRUE(close(found, exact, dtype() == at::kFloat ? 5e-6 : 3e-3)) << "mean " << mean;
  }
}

TEST_P(VaeOps, UpsampleIsAtensNearestNeighbour) {
  for (const int64_t frames : {1, 2, 3, 4, 5}) {
    const at::Tensor x = own("upsample.x", {3, frames, 3, 5});
    const auto nearest = [](const at::Tensor& part, int64_t count) {
      return at::upsample_nearest3d(part.unsqueeze(0), {count, 6, 10}).squeeze(0);
    };
    EXPECT_TRUE(same_bytes(ops_.upsample(x, false), nearest(x, frames)));
    const at::Tensor in_time =
        frames == 1       ? nearest(x, 1)
        : frames % 2 == 1 ? at::cat({nearest(x.narrow(1, 0, 1), 1),
                                     nearest(x.narrow(1, 1, frames - 1), 2 * (frames - 1))},
                                    1)
                          : nearest(x, 2 * frames);
    EXPECT_TRUE(same_bytes(ops_.upsample(x, true), in_time)) << frames << " frames";
  }
}

TEST_P(VaeOps, AddIsAtens) {
  at::Tensor x = own("add.x", {5, 3, 7, 9});
  const at::Tensor y = own("add.y", {5, 3, 7, 9});
  const at::Tensor wanted = x + y;
  ops_.add(x, y);
  EXPECT_TRUE(same_bytes(x, wanted));
}

INSTANTIATE_TEST_SUITE_P(Ops, VaeOps, testing::Values(at::kFloat, at::kBFloat16), dtype_label);

}  // namespace
}  // namespace cogvx
