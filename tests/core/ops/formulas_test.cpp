#include "core/ops/formulas.h"

#include "tests/core/ops/ops_test_support.h"
#include "tests/support/fake_device.h"

// What a device computes with ATen's own operations, against the CPU's kernels.
namespace cogvx {
namespace {

using namespace test;

class Formulas : public OpsTest {
 protected:
  // Two ways to the same number, each rounded once.
  double limit() const { return dtype() == at::kFloat ? 2e-6 : 4e-3; }
  at::Tensor there(const at::Tensor& host) const {
    return host.defined() ? host.to(fake_device()) : host;
  }
};

TEST_P(Formulas, NormSiluAgreesWithTheCpusOnAnyDevice) {
  for (const bool modulates : {false, true}) {
    for (const int64_t frames : {1, 4, 9}) {
      const at::Tensor x = own("formulas.x", {12, frames, 6, 12}, 0.3, 2);
      const NormWeights norm{values("formulas.weight", {12}), values("formulas.bias", {12}), 1e-6};
      const at::Tensor scale = modulates ? own("formulas.scale", {12, 3, 3, 4}) : at::Tensor();
      const at::Tensor shift = modulates ? own("formulas.shift", {12, 3, 3, 4}) : at::Tensor();
      at::Tensor wanted = at::empty_like(x), found = at::empty_like(x);
      ops_.norm_silu(x, {norm, 3, scale, shift}, wanted);
      formulas::norm_silu(x, {norm, 3, scale, shift}, found);
      EXPECT_TRUE(close(found, wanted.to(at::kDouble), limit())) << frames << " frames";

      const NormWeights norm_there{there(norm.weight), there(norm.bias), norm.eps};
      at::Tensor found_there = there(x);
      formulas::norm_silu(found_there, {norm_there, 3, there(scale), there(shift)}, found_there);
      EXPECT_TRUE(same_bytes(found_there.to(at::kCPU).contiguous(), found));
    }
  }
}

// What a library's convolution is given, with and without the frames before, enlarged, with a
// stride.
TEST_P(Formulas, AConvolutionsInputByCopiesGivesTheCpusBytesOnAnyDevice) {
  struct Case {
    ConvKernel kernel;
    int64_t stride;
    Enlarge enlarge;
  };
  for (const auto& [kernel, stride, enlarge] :
       {Case{{3, 3, 3}, 1, Enlarge::kNone}, Case{{1, 3, 3}, 1, Enlarge::kSpace},
        Case{{1, 3, 3}, 1, Enlarge::kSpaceAndTime}, Case{{1, 3, 3}, 2, Enlarge::kNone}}) {
    const ConvWeights w = ops_.pack_convolution(
        own("formulas.conv", {6, 4, kernel.frames, kernel.height, kernel.width}),
        own("formulas.conv_bias", {6}), stride);
    for (const int64_t frames : {1, 2, 5}) {
      const at::Tensor x = own("formulas.conv_x", {4, frames, 6, 5});
      const at::Tensor history =
          kernel.frames > 1 && frames != 2 ? own("formulas.history", {4, 2, 6, 5}) : at::Tensor();
      const at::Tensor wanted =
          ops_.convolution({.x_CTYX = x, .history_CTYX = history, .enlarge = enlarge}, w);
      ConvCall call{.x_CTYX = there(x), .history_CTYX = there(history), .enlarge = enlarge};
      const at::Tensor input = formulas::convolution_input(call, w).to(at::kCPU);
      EXPECT_FALSE(call.x_CTYX.defined());
      const int64_t before = kernel.frames - 1;
      const at::Tensor inside = input.narrow(1, before, input.size(1) - before)
                                    .narrow(2, 0, input.size(2) - stride + 1)
                                    .narrow(3, 0, input.size(3) - stride + 1);
      const at::Tensor found =
          ops_.convolution({.x_CTYX = inside,
                            .history_CTYX = before > 0 ? input.narrow(1, 0, before) : at::Tensor()},
                           w);
      EXPECT_TRUE(same_bytes(found.contiguous(), wanted.contiguous()))
          << frames << " frames, stride " << stride;
      if (stride > 1) {
        EXPECT_EQ(input.select(2, 6).abs().sum().item<double>(), 0);
        EXPECT_EQ(input.select(3, 5).abs().sum().item<double>(), 0);
      }
      call.sum_CTYX = there(wanted.clone());
      formulas::convolution_result(call, there(wanted));
      EXPECT_TRUE(same_bytes(call.sum_CTYX.to(at::kCPU), wanted + wanted));
    }
  }
}

TEST_P(Formulas, OneHeadsAttentionAgreesWithTheCpus) {
  for (const int64_t rows : {1, 65, 1100}) {  // the last has two chunks of queries
    const at::Tensor qkv_H3NE = own("formulas.qkv", {1, 3, rows, 64});
    at::Tensor wanted = at::empty({1, rows, 64}, qkv_H3NE.options());
    const AttentionRun all{0, 0, ceil_div(rows, kBlockRows)};
    ops_.attention(qkv_H3NE, {&all, 1}, wanted);
    EXPECT_TRUE(close(formulas::attend_head(qkv_H3NE[0]), wanted[0].to(at::kDouble), limit()))
        << rows << " rows";
  }
}

TEST_P(Formulas, TheTextEncodersOpsAreTheCpus) {
  const at::Tensor x = own("formulas.t5", {7, 24}), y = own("formulas.t5_up", {7, 24});
  const at::Tensor weight = own("formulas.t5_weight", {24});
  EXPECT_TRUE(same_bytes(formulas::rms_norm(x, weight, 1e-6), ops_.rms_norm(x, weight, 1e-6)));
  EXPECT_TRUE(same_bytes(formulas::gated_gelu(x, y), ops_.gated_gelu(x, y)));
  const at::Tensor q = own("formulas.q", {7, 24}), k = own("formulas.k", {7, 24});
  const at::Tensor bias = own("formulas.bias3", {3, 7, 7});
  EXPECT_TRUE(close(formulas::biased_attention(q, k, x, bias),
                    ops_.biased_attention(q, k, x, bias).to(at::kDouble), limit()));
}

INSTANTIATE_TEST_SUITE_P(Ops, Formulas, testing::Values(at::kFloat, at::kBFloat16), dtype_label);

}  // namespace
}  // namespace cogvx
