#include "tests/core/ops/ops_test_support.h"

namespace cogvx {
namespace {

using namespace test;

struct Case {
  const char* name;
  int64_t in, out;
  ConvKernel kernel;
  int64_t stride = 1;
  Enlarge enlarge = Enlarge::kNone;
  bool sums = false;
};

const Case kCases[] = {
    {"3x3x3", 16, 24, {3, 3, 3}},
    {"pixels", 3, 10, {3, 3, 3}},
    {"odd channels", 5, 7, {3, 3, 3}},
    {"more than one block of channels", 6, 130, {3, 3, 3}},
    {"with a sum", 18, 66, {3, 3, 3}, 1, Enlarge::kNone, true},
    {"1x1", 16, 9, {1, 1, 1}},
    {"of frames", 6, 10, {1, 3, 3}},
    {"with a stride", 6, 65, {1, 3, 3}, 2},
    {"enlarged", 12, 12, {1, 3, 3}, 1, Enlarge::kSpace},
    {"enlarged in time", 12, 20, {1, 3, 3}, 1, Enlarge::kSpaceAndTime},
};

// 31 x 37 pixels are three tiles.
const std::array<int64_t, 3> kSizes[] = {{1, 3, 5}, {2, 8, 7}, {3, 31, 37}, {4, 5, 4}, {5, 1, 1}};

class Convolution : public PathsTest {
 protected:
  at::Tensor weight(const Case& c) const {
    return own("conv.weight", {c.out, c.in, c.kernel.frames, c.kernel.height, c.kernel.width}, 0,
               0.1);
  }
  ConvWeights packed(const Case& c) {
    return ops_.pack_convolution(weight(c), own("conv.bias", {c.out}), c.stride);
  }
};

at::Tensor enlarged(const at::Tensor& x_CTYX, Enlarge enlarge) {
  const int64_t frames = x_CTYX.size(1);
  const auto nearest = [&](const at::Tensor& part, int64_t count) {
    return at::upsample_nearest3d(part.unsqueeze(0),
                                  {count, 2 * x_CTYX.size(2), 2 * x_CTYX.size(3)})
        .squeeze(0);
  };
  if (enlarge == Enlarge::kNone) return x_CTYX;
  if (enlarge == Enlarge::kSpace || frames == 1) return nearest(x_CTYX, frames);
  if (frames % 2 == 0) return nearest(x_CTYX, 2 * frames);
  return at::cat({nearest(x_CTYX.narrow(1, 0, 1), 1),
                  nearest(x_CTYX.narrow(1, 1, frames - 1), 2 * (frames - 1))},
                 1);
}

// In double, with everything copied together that the call finds by address.
at::Tensor exact_result(const ConvCall& call, const Case& c, const at::Tensor& weight,
                        const at::Tensor& bias) {
  at::Tensor x = enlarged(call.x_CTYX.to(at::kDouble), call.enlarge);
  if (c.kernel.frames > 1) {
    const at::Tensor before = call.history_CTYX.defined()
                                  ? call.history_CTYX.to(at::kDouble)
                                  : x.narrow(1, 0, 1).repeat({1, c.kernel.frames - 1, 1, 1});
    x = at::cat({before, x}, 1);
  }
  const int64_t pad = c.kernel.width / 2;
  x = at::constant_pad_nd(x, c.stride == 1 ? std::vector<int64_t>{pad, pad, pad, pad}
                                           : std::vector<int64_t>{0, 1, 0, 1});
  const at::Tensor y = at::conv3d(x.unsqueeze(0), weight.to(at::kDouble), bias.to(at::kDouble),
                                  {1, c.stride, c.stride})
                           .squeeze(0);
  return call.sum_CTYX.defined() ? y + call.sum_CTYX.to(at::kDouble) : y;
}

TEST_P(Convolution, AgreesWithAtenInDouble) {
  for (const Case& c : kCases) {
    for (const auto& [frames, height, width] : kSizes) {
      for (const bool has_history : {false, true}) {
        if (has_history && c.kernel.frames == 1) continue;
        if (height < c.stride) continue;
        ConvCall call{.x_CTYX = own("conv.x", {c.in, frames, height, width}), .enlarge = c.enlarge};
        if (has_history)
          call.history_CTYX = own("conv.history", {c.in, c.kernel.frames - 1, height, width});
        if (c.sums) call.sum_CTYX = own("conv.sum", {c.out, frames, height, width});
        const at::Tensor exact = exact_result(call, c, weight(c), own("conv.bias", {c.out}));
        const at::Tensor found = ops_.convolution(call, packed(c));
        ASSERT_EQ(found.sizes(), exact.sizes()) << c.name;
        EXPECT_TRUE(close(found, exact, rounding_limit(dtype())))
            << c.name << ", " << frames << " frames of " << height << " x " << width;
        if (c.sums) {
          EXPECT_EQ(found.const_data_ptr(), call.sum_CTYX.const_data_ptr());
        }
      }
    }
  }
}

// What a channel gives depends on its weights alone, and not on those beside it.
TEST_P(Convolution, AnOutputChannelsBytesDoNotDependOnTheOthers) {
  const Case c{"", 10, 150, {3, 3, 3}};
  const at::Tensor x = own("conv.x", {c.in, 3, 21, 23});
  const at::Tensor all = ops_.convolution({x}, packed(c)).contiguous();
  for (const auto& [first, count] : {std::pair{0, 64}, {64, 64}, {64, 86}, {70, 5}, {149, 1}}) {
    const ConvWeights some =
        ops_.pack_convolution(weight(c).narrow(0, first, count),
                              own("conv.bias", {c.out}).narrow(0, first, count), c.stride);
    EXPECT_TRUE(same_bytes(ops_.convolution({x}, some).contiguous(),
                           all.narrow(0, first, count).contiguous()))
        << count << " channels from " << first;
  }
}

TEST_P(Convolution, ChunksOfFramesWithTheirHistoryGiveTheBytesOfAllAtOnce) {
  const Case c{"", 12, 70, {3, 3, 3}};
  const ConvWeights w = packed(c);
  const at::Tensor x = own("conv.x", {c.in, 7, 9, 31});
  const at::Tensor all = ops_.convolution({x}, w).contiguous();
  for (const int64_t first : {2, 3, 6}) {
    const at::Tensor rest = ops_.convolution(
        {.x_CTYX = x.narrow(1, first, 7 - first), .history_CTYX = x.narrow(1, first - 2, 2)}, w);
    EXPECT_TRUE(same_bytes(rest.contiguous(), all.narrow(1, first, 7 - first).contiguous()));
    EXPECT_TRUE(same_bytes(ops_.convolution({x.narrow(1, 0, first)}, w).contiguous(),
                           all.narrow(1, 0, first).contiguous()));
  }
}

// Pixels that see no border, in pictures of other sizes, fall into other tiles and blocks.
TEST_P(Convolution, APixelsBytesDoNotDependOnThePictureAround) {
  const Case c{"", 12, 20, {3, 3, 3}};
  const ConvWeights w = packed(c);
  const at::Tensor x = own("conv.x", {c.in, 2, 30, 29});
  const at::Tensor all = ops_.convolution({x}, w);
  for (const auto& [top, left, height, width] :
       std::vector<std::array<int64_t, 4>>{{0, 0, 7, 9}, {3, 5, 20, 11}, {11, 2, 19, 27}}) {
    const at::Tensor part = ops_.convolution({x.narrow(2, top, height).narrow(3, left, width)}, w);
    const auto inside = [&](const at::Tensor& y, int64_t y0, int64_t x0) {
      return y.narrow(2, y0 + 1, height - 2).narrow(3, x0 + 1, width - 2).contiguous();
    };
    EXPECT_TRUE(same_bytes(inside(part, 0, 0), inside(all, top, left))) << height << " x " << width;
  }
}

// As tensors come from outside and as convolutions leave them.
TEST_P(Convolution, BytesDoNotDependOnHowTheInputLies) {
  for (const Case& c : kCases) {
    const at::Tensor x = own("conv.x", {c.in, 3, 6, 7});
    const at::Tensor last =
        x.permute({1, 2, 3, 0}).clone(at::MemoryFormat::Contiguous).permute({3, 0, 1, 2});
    const ConvWeights w = packed(c);
    const at::Tensor sum = own("conv.sum", {c.out, 3, 6, 7});
    const auto call = [&](const at::Tensor& input) {
      return ConvCall{
          .x_CTYX = input, .enlarge = c.enlarge, .sum_CTYX = c.sums ? sum.clone() : at::Tensor()};
    };
    EXPECT_TRUE(same_bytes(ops_.convolution(call(last), w).contiguous(),
                           ops_.convolution(call(x), w).contiguous()))
        << c.name;
  }
}

TEST_P(Convolution, AnInfinityIsSeenOnlyWhereTheKernelLooks) {
  const Case c{"", 5, 3, {3, 3, 3}};
  at::Tensor x = own("conv.x", {c.in, 3, 8, 9});
  x[2][1][3][4] = std::numeric_limits<float>::infinity();
  const at::Tensor finite = at::isfinite(ops_.convolution({x}, packed(c)));
  at::Tensor wanted = at::ones_like(finite);
  wanted.narrow(1, 1, 2).narrow(2, 2, 3).narrow(3, 3, 3).fill_(false);
  EXPECT_TRUE(at::equal(finite, wanted));
}

TEST_P(Convolution, AnInputThatDoesNotFitItsWeightsIsRefused) {
  const Case c{"", 6, 4, {3, 3, 3}};
  const ConvWeights w = packed(c);
  EXPECT_THROW(ops_.convolution({own("conv.x", {5, 3, 4, 4})}, w), std::logic_error);
  EXPECT_THROW(ops_.convolution({.x_CTYX = own("conv.x", {6, 3, 4, 4}),
                                 .history_CTYX = own("conv.history", {6, 1, 4, 4})},
                                w),
               std::logic_error);
}

INSTANTIATE_TEST_SUITE_P(Paths, Convolution, all_paths(), path_and_dtype_label);

}  // namespace
}  // namespace cogvx
