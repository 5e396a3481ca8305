// The canonical calls over shapes and dtypes: what any owner computes of a layer or of the heads
// is, byte for byte, what one owner of everything computes.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "parallel/ownership.h"
#include "tests/gpu/gpu_ops.h"

// Shape letters: R rows, K in, N out, H heads, E head dim.
namespace cogvx {
namespace {

using namespace test;

constexpr int kOwners[] = {2, 3, 4, 5, 6, 7, 8};

struct Width {
  int64_t heads;
  int64_t head_dim;
  int64_t value() const { return heads * head_dim; }
};

std::vector<Width> widths() {
  if (small_sizes()) return {{8, 16}};
  return {{30, 64}, {48, 64}};  // 2B, 5B
}
std::vector<int64_t> row_counts() {
  if (small_sizes()) return {226, 601};
  return {226, 1576, 4276, 17776};
}

struct Layer {
  const char* name;
  int64_t in;
  int64_t out;
  Activation activation = Activation::kNone;
};

std::vector<Layer> layers(int64_t width) {
  return {{"text projection", small_sizes() ? 64 : 4096, width},
          {"patch projection", 64, width},
          {"q, k and v", width, 3 * width},
          {"attention output", width, width},
          {"feed-forward in", width, 4 * width, Activation::kGeluTanh},
          {"feed-forward out", 4 * width, width},
          {"output projection", width, 64}};
}

at::Tensor numbers(at::IntArrayRef shape, double scale) {
  static at::Generator generator = at::detail::createCPUGenerator(/*seed_val=*/11);
  return at::randn(shape, generator, at::TensorOptions().dtype(at::kFloat)).mul_(scale);
}

bool same_on_device(const at::Tensor& a, const at::Tensor& b) {
  return at::equal(a.contiguous().view(at::kByte), b.contiguous().view(at::kByte));
}

// Where a shard is not the same part of the whole, in words; nothing where all are.
std::string differing_rows(Ops& ops, const Layer& layer, const at::Tensor& x_RK) {
  const int64_t rows = x_RK.size(0);
  const at::ScalarType dtype = x_RK.scalar_type();
  const LinearWeights weights = ops.pack_linear(numbers({layer.out, layer.in}, 0.05).to(dtype),
                                                numbers({layer.out}, 0.1).to(dtype));
  prepare_linear(ops, weights, rows, layer.activation);
  const at::Tensor whole = shared_linear(ops, x_RK, weights, {0, rows}, layer.activation);
  for (const int owners : kOwners) {
    for (const RowRange& own : deal_rows(rows, owners)) {
      if (own.size() == 0) continue;
      const at::Tensor part = shared_linear(ops, x_RK.narrow(0, own.begin, own.size()), weights,
                                            {own.begin, rows}, layer.activation);
      if (!same_on_device(part, whole.narrow(0, own.begin, own.size())))
        return "rows " + std::to_string(own.begin) + " to " + std::to_string(own.end) + " of " +
               std::to_string(owners) + " owners";
    }
  }
  return "";
}

at::Tensor attend(Ops& ops, const at::Tensor& qkv_H3RE) {
  const int64_t heads = qkv_H3RE.size(0), rows = qkv_H3RE.size(2);
  std::vector<AttentionRun> runs;
  for (int64_t head = 0; head < heads; ++head)
    runs.push_back({head, 0, ceil_div(rows, kBlockRows)});
  at::Tensor out = at::empty({heads, rows, qkv_H3RE.size(3)}, qkv_H3RE.options());
  ops.attention(qkv_H3RE, runs, out);
  return out;
}

std::string differing_heads(Ops& ops, const at::Tensor& qkv_H3RE) {
  const int64_t heads = qkv_H3RE.size(0);
  prepare_attention(ops, {heads, qkv_H3RE.size(2), qkv_H3RE.size(3), qkv_H3RE.scalar_type()});
  const at::Tensor whole = attend(ops, qkv_H3RE);
  for (const int owners : kOwners) {
    if (owners > heads) continue;
    int64_t begin = 0;
    for (const auto& runs : deal_units(heads, /*tiles=*/1, owners)) {
      const int64_t own = std::ssize(runs);
      if (!same_on_device(attend(ops, qkv_H3RE.narrow(0, begin, own)), whole.narrow(0, begin, own)))
        return "heads " + std::to_string(begin) + " to " + std::to_string(begin + own) + " of " +
               std::to_string(owners) + " owners";
      begin += own;
    }
  }
  return "";
}

void report_choice(nlohmann::json choice) {
  choice["check"] = "choice";
  report(choice);
}

class Matrix : public testing::TestWithParam<at::ScalarType> {
 protected:
  // Who plays the device has no fp16.
  bool can_compute(const Ops& ops) const { return is_real_gpu(ops) || GetParam() != at::kHalf; }
};

TEST_P(Matrix, RowsOfAnyOwnerAreThoseOfOneOwner) {
  const auto any = make_gpu_ops({});
  if (!can_compute(*any)) GTEST_SKIP() << "no GPU here";
  for (const int64_t rows : row_counts()) {
    const auto ops = make_gpu_ops({.on_choice = report_choice});
    for (const Width& width : widths()) {
      for (const Layer& layer : layers(width.value())) {
        const at::Tensor x = ops->upload(numbers({rows, layer.in}, 1).to(GetParam()));
        const std::string wrong = differing_rows(*ops, layer, x);
        report({{"check", "rows"},
                {"layer", layer.name},
                {"in", layer.in},
                {"out", layer.out},
                {"dtype", at::toString(GetParam())},
                {"rows", rows},
                {"wrong", wrong}});
        EXPECT_EQ(wrong, "") << layer.name << ", " << rows << " rows";
      }
    }
  }
}

TEST_P(Matrix, HeadsOfAnyOwnerAreThoseOfOneOwner) {
  const auto any = make_gpu_ops({});
  if (!can_compute(*any)) GTEST_SKIP() << "no GPU here";
  for (const AttentionKernel kernel :
       {AttentionKernel::kMath, AttentionKernel::kFlash, AttentionKernel::kCudnn}) {
    if (GetParam() == at::kFloat && kernel != AttentionKernel::kMath) continue;
    const auto ops = make_gpu_ops({.attention = kernel, .on_choice = report_choice});
    for (const int64_t rows : row_counts()) {
      for (const Width& width : widths()) {
        const at::Tensor qkv =
            ops->upload(numbers({width.heads, 3, rows, width.head_dim}, 1).to(GetParam()));
        const std::string wrong = differing_heads(*ops, qkv);
        report({{"check", "heads"},
                {"attention", name_of(kernel)},
                {"heads", width.heads},
                {"head_dim", width.head_dim},
                {"dtype", at::toString(GetParam())},
                {"rows", rows},
                {"wrong", wrong}});
        EXPECT_EQ(wrong, "") << name_of(kernel) << ", " << rows << " rows";
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Dtypes, Matrix, testing::Values(at::kFloat, at::kBFloat16, at::kHalf),
                         [](const auto& dtype) { return std::string(at::toString(dtype.param)); });

}  // namespace
}  // namespace cogvx
