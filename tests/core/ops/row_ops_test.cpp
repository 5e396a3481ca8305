#include "tests/core/ops/ops_test_support.h"

namespace cogvx {
namespace {

using namespace test;

class RowOps : public OpsTest {
 protected:
  NormWeights norm(int64_t width, double eps = 1e-5) const {
    return {values("norm.weight", {width}, at::kFloat, 1, 0.3), values("norm.bias", {width}), eps};
  }
  RowVectors vectors(const std::string& name, int64_t width) const {
    return {own(name + ".text", {width}), own(name + ".video", {width})};
  }
};

at::Tensor exact_norm(const at::Tensor& x, const NormWeights& norm) {
  return at::layer_norm(x.to(at::kDouble), {x.size(-1)}, norm.weight.to(at::kDouble),
                        norm.bias.to(at::kDouble), norm.eps);
}

// The vector of each row's kind, one row each.
at::Tensor by_row(const RowVectors& vectors, int64_t rows, RowSplit split) {
  const at::Tensor global = at::arange(rows, at::kLong) + split.first_row;
  return at::where((global < split.text_rows).unsqueeze(1), vectors.text.to(at::kDouble),
                   vectors.video.to(at::kDouble));
}

// All text, all video, and calls that begin before, at and behind the seam.
const std::vector<RowSplit> kSplits{{0, 226}, {0, 0}, {0, 20}, {192, 226}, {20, 20}, {256, 226}};

TEST_P(RowOps, ModulatedNormAgreesWithAtenInDouble) {
  for (const int64_t width : {30, 192}) {
    const RowVectors shift = vectors("shift", width);
    const RowVectors scale = vectors("scale", width);
    for (const int64_t rows : {1, 2, 3, 63, 65}) {
      const at::Tensor x = own("norm.x", {rows, width}, 0.5);
      for (const RowSplit split : kSplits) {
        const at::Tensor exact = exact_norm(x, norm(width)) * (1 + by_row(scale, rows, split)) +
                                 by_row(shift, rows, split);
        EXPECT_TRUE(close(ops_.modulated_norm(x, norm(width), shift, scale, split), exact,
                          rounding_limit(dtype())))
            << rows << " rows of " << width << " from " << split.first_row;
      }
      EXPECT_TRUE(close(ops_.modulated_norm(x, norm(width), {}, {}, {}), exact_norm(x, norm(width)),
                        rounding_limit(dtype())));
    }
  }
}

TEST_P(RowOps, ModulatedNormUsesItsEpsilon) {
  const at::Tensor x = own("norm.small", {5, 192}, 0, 0.01);
  const NormWeights wide = norm(192, 1e-3);
  EXPECT_TRUE(close(ops_.modulated_norm(x, wide, {}, {}, {}), exact_norm(x, wide),
                    rounding_limit(dtype())));
}

TEST_P(RowOps, GatedAddAgreesWithAtenInDouble) {
  const int64_t width = 100;
  const RowVectors gate = vectors("gate", width);
  for (const int64_t rows : {1, 3, 65}) {
    for (const RowSplit split : kSplits) {
      at::Tensor x = own("gated.x", {rows, width});
      const at::Tensor y = own("gated.y", {rows, width});
      const at::Tensor exact = x.to(at::kDouble) + by_row(gate, rows, split) * y.to(at::kDouble);
      ops_.gated_add(x, y, gate, split);
      EXPECT_TRUE(close(x, exact, rounding_limit(dtype())));
    }
  }
}

// [R, 3 D] -> norm over E for q and k, rotation of neighbouring pairs on video rows.
at::Tensor exact_qkv(const at::Tensor& qkv, const QkPreparation& p, RowSplit split, int64_t heads,
                     int64_t width) {
  const int64_t rows = qkv.size(0);
  at::Tensor parts = qkv.to(at::kDouble).view({rows, 3, heads, width}).permute({2, 1, 0, 3});
  parts = parts.contiguous();
  parts.select(1, 0).copy_(exact_norm(parts.select(1, 0), p.norm_q));
  parts.select(1, 1).copy_(exact_norm(parts.select(1, 1), p.norm_k));
  if (!p.cos.defined()) return parts;
  const int64_t text = std::clamp<int64_t>(split.text_rows - split.first_row, 0, rows);
  if (text == rows) return parts;
  at::Tensor video = parts.narrow(1, 0, 2).narrow(2, text, rows - text);
  const int64_t first = split.first_row + text - split.text_rows;
  const at::Tensor cos = p.cos.narrow(0, first, rows - text).to(at::kDouble);
  const at::Tensor sin = p.sin.narrow(0, first, rows - text).to(at::kDouble);
  const at::Tensor pairs = video.reshape({heads, 2, rows - text, width / 2, 2});
  const at::Tensor turned = at::stack({-pairs.select(-1, 1), pairs.select(-1, 0)}, -1).flatten(-2);
  video.copy_(video * cos + turned * sin);
  return parts;
}

TEST_P(RowOps, PrepareQkvAgreesWithAtenInDouble) {
  for (const auto& [heads, width] : std::vector<std::pair<int64_t, int64_t>>{{3, 64}, {5, 16}}) {
    const at::Tensor angles = values("angles", {400, width}, at::kFloat, 0, 2);
    const NormWeights norm_q{values("q.weight", {width}, at::kFloat, 1, 0.2),
                             values("q.bias", {width}), 1e-6};
    for (const bool rotate : {false, true}) {
      const QkPreparation p{norm_q, norm(width, 1e-6), rotate ? angles.cos() : at::Tensor(),
                            rotate ? angles.sin() : at::Tensor()};
      for (const RowSplit split : kSplits) {
        const int64_t rows = 65;
        const at::Tensor qkv = own("qkv", {rows, 3 * heads * width});
        at::Tensor out = at::empty({heads, 3, rows, width}, qkv.options());
        ops_.prepare_qkv(qkv, p, split, out);
        const at::Tensor exact = exact_qkv(qkv, p, split, heads, width);
        EXPECT_TRUE(close(out, exact, rounding_limit(dtype()))) << "from " << split.first_row;
        EXPECT_TRUE(same_bytes(out.select(1, 2), exact.select(1, 2).to(dtype()))) << "v is moved";
        // Into a buffer with rows in front, as an exchange has it.
        const at::Tensor buffer = at::empty({rows, heads, 3, width}, qkv.options());
        at::Tensor strided = buffer.permute({1, 2, 0, 3});
        ops_.prepare_qkv(qkv, p, split, strided);
        EXPECT_TRUE(same_bytes(strided, out));
      }
    }
  }
}

// Row-wise ops treat each row alone, so any cut gives the bytes of the whole.
TEST_P(RowOps, RowsInPiecesEqualTheWhole) {
  const int64_t width = 192;
  const int64_t rows = 150;
  const RowSplit split{.first_row = 192, .text_rows = 226};
  const RowVectors shift = vectors("shift", width);
  const RowVectors scale = vectors("scale", width);
  const at::Tensor x = own("norm.x", {rows, width});
  const at::Tensor y = own("gated.y", {rows, width});
  const at::Tensor normed = ops_.modulated_norm(x, norm(width), shift, scale, split);
  at::Tensor added = x.clone();
  ops_.gated_add(added, y, scale, split);
  for (const int64_t cut : {1, 33, 34, 64, 149}) {
    std::vector<at::Tensor> norms, sums;
    for (const auto& [begin, end] :
         std::vector<std::pair<int64_t, int64_t>>{{0, cut}, {cut, rows}}) {
      const RowSplit part{.first_row = split.first_row + begin, .text_rows = split.text_rows};
      const at::Tensor own_rows = x.narrow(0, begin, end - begin).contiguous();
      norms.push_back(ops_.modulated_norm(own_rows, norm(width), shift, scale, part));
      at::Tensor sum = own_rows.clone();
      ops_.gated_add(sum, y.narrow(0, begin, end - begin).contiguous(), scale, part);
      sums.push_back(sum);
    }
    EXPECT_TRUE(same_bytes(at::cat(norms), normed)) << "cut at " << cut;
    EXPECT_TRUE(same_bytes(at::cat(sums), added)) << "cut at " << cut;
  }
}

TEST_P(RowOps, RmsNormAgreesWithAtenInDouble) {
  const at::Tensor x = own("rms.x", {65, 96}, 0, 0.01);
  const at::Tensor weight = own("rms.weight", {96}, 1, 0.3);
  const at::Tensor wide = x.to(at::kDouble);
  const at::Tensor exact =
      weight.to(at::kDouble) * wide / at::sqrt(wide.square().mean(-1, true) + 1e-4);
  // Rounded before the weight and after it.
  EXPECT_TRUE(close(ops_.rms_norm(x, weight, 1e-4), exact, 2 * rounding_limit(dtype())));
}

TEST_P(RowOps, BiasedAttentionAgreesWithAtenInDouble) {
  const int64_t heads = 4;
  const int64_t rows = 65;
  const int64_t width = 8;
  const at::Tensor q = own("biased.q", {rows, heads * width});
  const at::Tensor k = own("biased.k", {rows, heads * width});
  const at::Tensor v = own("biased.v", {rows, heads * width});
  const at::Tensor bias = own("biased.bias", {heads, rows, rows});
  const auto split = [&](const at::Tensor& x) {
    return x.to(at::kDouble).view({rows, heads, width}).transpose(0, 1);
  };
  const at::Tensor scores = at::matmul(split(q), split(k).transpose(1, 2)) + bias.to(at::kDouble);
  const at::Tensor exact =
      at::matmul(at::softmax(scores, -1), split(v)).transpose(0, 1).reshape({rows, heads * width});
  // In bf16 the scores themselves are rounded, as in diffusers.
  EXPECT_TRUE(
      close(ops_.biased_attention(q, k, v, bias), exact, dtype() == at::kFloat ? 1e-6 : 1.5e-2));
}

TEST_P(RowOps, GatedGeluIsAtensOpByOp) {
  const at::Tensor gate = own("gelu.gate", {65, 64}, 0, 3);
  const at::Tensor up = own("gelu.up", {65, 64});
  const at::Tensor inner = std::sqrt(2.0 / M_PI) * (gate + 0.044715 * at::pow(gate, 3.0));
  EXPECT_TRUE(same_bytes(ops_.gated_gelu(gate, up), 0.5 * gate * (1.0 + at::tanh(inner)) * up));
}

INSTANTIATE_TEST_SUITE_P(Ops, RowOps, testing::Values(at::kFloat, at::kBFloat16), dtype_label);

}  // namespace
}  // namespace cogvx
