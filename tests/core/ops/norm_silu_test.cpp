#include "tests/core/ops/ops_test_support.h"

namespace cogvx {
namespace {

using namespace test;

class NormSiluOps : public PathsTest {};

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

TEST_P(NormSiluOps, NormSiluAgreesWithAtenInDouble) {
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
    // In place, as the decoder calls it; x lies as a convolution leaves it.
    at::Tensor own_place = input.permute({1, 2, 3, 0}).clone(at::MemoryFormat::Contiguous);
    own_place = own_place.permute({3, 0, 1, 2});
    ops_.norm_silu(own_place, call, own_place);
    EXPECT_TRUE(same_bytes(own_place.contiguous(), found));
  }
}

TEST_P(NormSiluOps, NormSiluUsesItsEpsilonAndCentredSquares) {
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

// Rows, bands and groups that are whole multiples of nothing, of more than one band.
TEST_P(NormSiluOps, OddSizesAgreeWithAtenInDouble) {
  for (const int64_t channels : {6, 34, 300}) {
    const at::Tensor x = own("norm_silu.odd", {channels, 3, 23, 41}, -0.5, 1.5);
    const NormWeights norm{values("norm_silu.weight", {channels}),
                           values("norm_silu.bias", {channels}), 1e-6};
    const at::Tensor exact =
        at::silu(at::group_norm(x.to(at::kDouble).unsqueeze(0), 2, norm.weight.to(at::kDouble),
                                norm.bias.to(at::kDouble), norm.eps)
                     .squeeze(0));
    at::Tensor found = at::empty_like(x);
    ops_.norm_silu(x, {.norm = norm, .groups = 2, .scale_Ctyx = {}, .shift_Ctyx = {}}, found);
    EXPECT_TRUE(close(found, exact, rounding_limit(dtype()))) << channels << " channels";
  }
}

TEST_P(NormSiluOps, ANanIsSeenInItsGroupAndInNoOther) {
  at::Tensor x = own("norm_silu.nan", {4, 2, 5, 7});
  x[1][1][4][6] = std::nan("");
  const NormWeights norm{at::ones({4}), at::zeros({4}), 1e-6};
  ops_.norm_silu(x, {.norm = norm, .groups = 2, .scale_Ctyx = {}, .shift_Ctyx = {}}, x);
  EXPECT_TRUE(at::isnan(x.narrow(0, 0, 2)).all().item<bool>());
  EXPECT_FALSE(at::isnan(x.narrow(0, 2, 2)).any().item<bool>());
}

INSTANTIATE_TEST_SUITE_P(Paths, NormSiluOps, all_paths(), path_and_dtype_label);

}  // namespace
}  // namespace cogvx
