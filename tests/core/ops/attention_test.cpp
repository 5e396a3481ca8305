#include "tests/core/ops/ops_test_support.h"

namespace cogvx {
namespace {

using namespace test;

class Attention : public OpsTest {
 protected:
  at::Tensor qkv(int64_t heads, int64_t rows, int64_t width) const {
    return own("attention.qkv." + std::to_string(rows), {heads, 3, rows, width});
  }
  at::Tensor run(const at::Tensor& qkv_H3NE, const std::vector<AttentionRun>& runs) {
    at::Tensor out =
        at::full({qkv_H3NE.size(0), qkv_H3NE.size(2), qkv_H3NE.size(3)}, -7, qkv_H3NE.options());
    ops_.attention(qkv_H3NE, runs, out);
    return out;
  }
};

std::vector<AttentionRun> whole_heads(int64_t heads, int64_t rows) {
  std::vector<AttentionRun> runs;
  for (int64_t head = 0; head < heads; ++head) runs.push_back({head, 0, ceil_div(rows, 64)});
  return runs;
}

at::Tensor exact_attention(const at::Tensor& qkv_H3NE) {
  const at::Tensor x = qkv_H3NE.to(at::kDouble);
  const double scale = 1 / std::sqrt(static_cast<double>(x.size(3)));
  const at::Tensor scores = at::matmul(x.select(1, 0), x.select(1, 1).transpose(1, 2)) * scale;
  return at::matmul(at::softmax(scores, -1), x.select(1, 2));
}

TEST_P(Attention, AgreesWithAtenInDouble) {
  for (const int64_t width : {16, 64, 128}) {
    for (const int64_t rows : {1, 2, 3, 63, 65, 255, 256, 257, 300, 513}) {
      const at::Tensor x = qkv(2, rows, width);
      // Probabilities are rounded to bf16 before they meet the values.
      EXPECT_TRUE(
          close(run(x, whole_heads(2, rows)), exact_attention(x), 2 * rounding_limit(dtype())))
          << rows << " rows of " << width;
    }
  }
}

// Scores of thousands, whose own rounding shows in the result: no further off than libtorch's.
TEST_P(Attention, LargeScoresAreAsExactAsLibtorchs) {
  const at::Tensor x = qkv(1, 300, 64) * 20;
  const at::Tensor found = run(x, whole_heads(1, 300));
  const at::Tensor scores = at::matmul(x.select(1, 0), x.select(1, 1).transpose(1, 2)) / 8;
  const at::Tensor stock = at::matmul(at::softmax(scores, -1), x.select(1, 2));
  const at::Tensor exact = exact_attention(x);
  EXPECT_TRUE(close(found, exact, 1.2 * difference(stock, exact).relative_l2));
}

TEST_P(Attention, RunsApartEqualTheWhole) {
  const int64_t rows = 330;  // six query tiles, the last of 10 rows
  for (const int64_t width : {16, 64}) {
    const at::Tensor x = qkv(5, rows, width);
    const at::Tensor whole = run(x, whole_heads(5, rows));
    at::Tensor apart = at::full_like(whole, -7);
    const std::vector<std::vector<AttentionRun>> owners{{{4, 3, 6}, {0, 0, 6}},
                                                        {{1, 0, 1}},
                                                        {{1, 1, 6}, {2, 0, 6}, {3, 0, 2}},
                                                        {{3, 2, 6}},
                                                        {{4, 0, 3}},
                                                        {}};
    for (const auto& runs : owners) ops_.attention(x, runs, apart);
    EXPECT_TRUE(same_bytes(apart, whole)) << "heads of " << width;
  }
}

TEST_P(Attention, OnlyTheRowsOfItsRunsAreWritten) {
  const at::Tensor x = qkv(2, 200, 64);
  const at::Tensor found = run(x, {{1, 1, 2}});
  at::Tensor wanted = at::full_like(found, -7);
  wanted[1].narrow(0, 64, 64).copy_(run(x, whole_heads(2, 200))[1].narrow(0, 64, 64));
  EXPECT_TRUE(same_bytes(found, wanted));
}

TEST_P(Attention, StridesDoNotChangeTheBytes) {
  const int64_t rows = 130;
  const at::Tensor x = qkv(3, rows, 64);
  const at::Tensor rows_first = x.permute({2, 1, 0, 3}).contiguous().permute({2, 1, 0, 3});
  ASSERT_FALSE(rows_first.is_contiguous());
  const at::Tensor buffer = at::empty({rows, 3, 64}, x.options());
  at::Tensor out = buffer.permute({1, 0, 2});
  ops_.attention(rows_first, whole_heads(3, rows), out);
  EXPECT_TRUE(same_bytes(out, run(x, whole_heads(3, rows))));
}

INSTANTIATE_TEST_SUITE_P(Ops, Attention, testing::Values(at::kFloat, at::kBFloat16), dtype_label);

}  // namespace
}  // namespace cogvx
