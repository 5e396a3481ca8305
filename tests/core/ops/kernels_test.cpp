#include "core/ops/cpu/kernels.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "core/ops/cpu/packing.h"
#include "tests/support/cpu_path.h"
#include "tests/support/tiny_checkpoint.h"

// Each path of this CPU against double, and against itself on other shares of the same work.
namespace cogvx::cpu {
namespace {

template <typename T>
std::vector<T> numbers(const std::string& name, int64_t count, double std = 1) {
  std::vector<T> stored(count);
  const auto values = test::golden_values(name, static_cast<size_t>(count), 0, std);
  for (int64_t i = 0; i < count; ++i) store(stored[i], static_cast<float>(values[i]));
  return stored;
}

class KernelPaths : public testing::TestWithParam<CpuPath> {
 protected:
  const Kernels& kernels() const { return kernels_of(GetParam()); }
};

template <typename T>
struct Product {
  int64_t m, n, k;
  std::vector<T> a = numbers<T>("a", m* k);
  std::vector<T> b = numbers<T>("b", k* n);
  std::vector<T> packed = std::vector<T>(packed_size(k, n));
  std::vector<const T*> rows{};

  Product(int64_t m_, int64_t n_, int64_t k_) : m(m_), n(n_), k(k_) {
    pack_rows(b.data(), n, k, n, packed.data());
    for (int64_t i = 0; i < m; ++i) rows.push_back(a.data() + i * k);
  }
  // Rows [from, to) of the product, in two sums over halves of k.
  std::vector<float> run(const Kernels& kernels, int64_t from, int64_t to) const {
    const int64_t ldc = padded_columns(n), half = k / 4 * 2;
    std::vector<float> c((to - from) * ldc);
    GemmCall<T> call{.a_rows = rows.data() + from,
                     .a_offset = 0,
                     .b = packed.data(),
                     .ldb = ldc,
                     .c = c.data(),
                     .ldc = ldc,
                     .m = to - from,
                     .n = ldc,
                     .k = half,
                     .add = false};
    kernels.gemm(call);
    call.a_offset = half;
    call.b = packed.data() + half * ldc;
    call.k = k - half;
    call.add = true;
    kernels.gemm(call);
    return c;
  }
};

template <typename T>
void expect_exact_products(const Kernels& kernels) {
  for (const auto& [m, n, k] : {std::tuple{1, 1, 2}, {5, 3, 6}, {64, 64, 130}, {67, 100, 258}}) {
    const Product<T> product(m, n, k);
    const std::vector<float> c = product.run(kernels, 0, m);
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        double exact = 0, size = 0;
        for (int64_t l = 0; l < k; ++l) {
          const double term = double{load(product.a[i * k + l])} * load(product.b[l * n + j]);
          exact += term;
          size += std::abs(term);
        }
        ASSERT_NEAR(c[i * padded_columns(n) + j], exact, 1e-6 * size) << m << "x" << n << "x" << k;
      }
      for (int64_t j = n; j < padded_columns(n); ++j) ASSERT_EQ(c[i * padded_columns(n) + j], 0);
    }
  }
}

TEST_P(KernelPaths, ProductsAgreeWithDouble) {
  expect_exact_products<float>(kernels());
  expect_exact_products<Bf16>(kernels());
}

// A row is the same row however many are computed with it, and wherever it stands among them.
template <typename T>
void expect_rows_alone(const Kernels& kernels) {
  const Product<T> product(67, 100, 258);
  const std::vector<float> whole = product.run(kernels, 0, 67);
  for (const int64_t share : {1, 2, 3, 5, 7, 13, 64}) {
    std::vector<float> joined;
    for (int64_t from = 0; from < 67; from += share) {
      const auto part = product.run(kernels, from, std::min<int64_t>(67, from + share));
      joined.insert(joined.end(), part.begin(), part.end());
    }
    EXPECT_EQ(joined, whole) << share << " rows a call";
  }
}

TEST_P(KernelPaths, ARowIsTheSameWhateverSharesItsCall) {
  expect_rows_alone<float>(kernels());
  expect_rows_alone<Bf16>(kernels());
}

template <typename T>
void expect_softmax(const Kernels& kernels, double tolerance) {
  constexpr int64_t kRows = 3, kKeys = 93, kWidth = 16, kLd = 96;
  std::vector<float> maximum(kRows, -std::numeric_limits<float>::infinity()), sum(kRows, 0.0f);
  std::vector<float> gathered(kRows * kWidth, 0.0f);
  const std::vector<float> all = numbers<float>("scores", kRows * 2 * kKeys, 8);
  std::vector<std::vector<float>> found(kRows);
  for (int64_t tile = 0; tile < 2; ++tile) {
    std::vector<float> scores(kRows * kLd, 77.0f);
    std::vector<T> probabilities(kRows * kLd);
    for (int64_t r = 0; r < kRows; ++r)
      std::copy_n(all.data() + (r * 2 + tile) * kKeys, kKeys, scores.data() + r * kLd);
    // What was gathered before must shrink as the sum does.
    for (int64_t i = 0; i < kRows * kWidth; ++i) gathered[i] = sum[i / kWidth];
    kernels.softmax(SoftmaxCall<T>{.scores = scores.data(),
                                   .probabilities = probabilities.data(),
                                   .ld = kLd,
                                   .rows = kRows,
                                   .keys = kKeys,
                                   .scale = 0.125f,
                                   .maximum = maximum.data(),
                                   .sum = sum.data(),
                                   .gathered = gathered.data(),
                                   .width = kWidth});
    for (int64_t r = 0; r < kRows; ++r) {
      float added = 0;
      for (int64_t k = 0; k < kKeys; ++k) added += load(probabilities[r * kLd + k]);
      EXPECT_NEAR(gathered[r * kWidth] + added, sum[r], tolerance * sum[r]);
      for (int64_t k = kKeys; k < kLd; ++k) EXPECT_EQ(load(probabilities[r * kLd + k]), 0);
      if (tile == 0) continue;
      double exact = 0;
      for (int64_t k = 0; k < 2 * kKeys; ++k)
        exact += std::exp((double{all[r * 2 * kKeys + k]} - maximum[r]) * 0.125);
      EXPECT_NEAR(sum[r], exact, 1e-5 * exact);
    }
  }
}

TEST_P(KernelPaths, SoftmaxOverTilesIsThatOfAllKeys) {
  expect_softmax<float>(kernels(), 1e-6);
  expect_softmax<Bf16>(kernels(), 4e-3);
}

TEST_P(KernelPaths, NothingNonFiniteIsLostOnTheWay) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    std::vector<float> scores(32, 1.0f), gathered(16, 0.0f);
    std::vector<Bf16> probabilities(32);
    scores[20] = bad;
    float maximum = -std::numeric_limits<float>::infinity(), sum = 0;
    kernels().softmax(SoftmaxCall<Bf16>{scores.data(), probabilities.data(), 32, 1, 32, 0.125f,
                                        &maximum, &sum, gathered.data(), 16});
    EXPECT_TRUE(std::isnan(sum)) << bad;
    const std::vector<float> c(16, bad);
    for (const Activation activation :
         {Activation::kNone, Activation::kSilu, Activation::kGeluTanh}) {
      std::vector<Bf16> y(16);
      kernels().finish(
          FinishCall<Bf16>{c.data(), 16, nullptr, nullptr, activation, 1, 16, y.data(), 16});
      EXPECT_FALSE(std::isfinite(load(y[3]))) << bad;
    }
  }
}

template <typename Exact>
void expect_activation(const Kernels& kernels, Activation activation, const Exact& exact) {
  constexpr int64_t kCount = 4001;
  std::vector<float> c(padded_columns(kCount)), y(kCount);
  for (int64_t i = 0; i < kCount; ++i) c[i] = -20.0f + 0.01f * static_cast<float>(i);
  kernels.finish(FinishCall<float>{c.data(), std::ssize(c), nullptr, nullptr, activation, 1, kCount,
                                   y.data(), kCount});
  for (int64_t i = 0; i < kCount; ++i)
    ASSERT_NEAR(y[i], exact(double{c[i]}), 1e-6 + 1e-6 * std::abs(c[i])) << c[i];
}

TEST_P(KernelPaths, ActivationsAreCloseToTheExactOnes) {
  expect_activation(kernels(), Activation::kSilu, [](double x) { return x / (1 + std::exp(-x)); });
  expect_activation(kernels(), Activation::kGeluTanh, [](double x) {
    return x / (1 + std::exp(-2 * std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
  });
}

TEST_P(KernelPaths, AGatedFinishAddsToWhatIsThere) {
  const auto c = numbers<float>("c", 2 * 32), bias = numbers<float>("bias", 21),
             gate = numbers<float>("gate", 21), before = numbers<float>("y", 2 * 21);
  std::vector<float> y = before;
  kernels().finish(FinishCall<float>{c.data(), 32, bias.data(), gate.data(), Activation::kNone, 2,
                                     21, y.data(), 21});
  for (int64_t i = 0; i < 2 * 21; ++i) {
    const double sum = double{c[i / 21 * 32 + i % 21]} + bias[i % 21];
    EXPECT_NEAR(y[i], before[i] + gate[i % 21] * sum, 2e-6);
  }
}

TEST_P(KernelPaths, StoringRoundsToTheNearestBf16) {
  std::vector<float> c;
  for (uint32_t upper = 0; upper < 0x10000; ++upper) {
    // The instructions for bf16 take what is too small for its exponent for zero.
    if ((upper & 0x7f80U) == 0) continue;
    for (const uint32_t lower : {0x0000U, 0x0001U, 0x7fffU, 0x8000U, 0x8001U, 0xffffU})
      c.push_back(std::bit_cast<float>(upper << 16 | lower));
  }
  std::vector<Bf16> found(c.size());
  kernels().finish(FinishCall<Bf16>{c.data(), 0, nullptr, nullptr, Activation::kNone, 1,
                                    std::ssize(c), found.data(), 0});
  for (size_t i = 0; i < c.size(); ++i) {
    Bf16 wanted{};
    store(wanted, c[i]);
    const bool same = std::isnan(c[i]) ? std::isnan(load(found[i])) : found[i].bits == wanted.bits;
    ASSERT_TRUE(same) << std::hex << std::bit_cast<uint32_t>(c[i]);
  }
}

INSTANTIATE_TEST_SUITE_P(Cpu, KernelPaths, testing::ValuesIn(supported_paths()),
                         [](const auto& i) { return test::path_label(i.param); });

TEST(CpuPaths, AreFoundByTheirNames) {
  for (const CpuPath path : supported_paths()) EXPECT_EQ(find_path(path_name(path)), path);
  EXPECT_EQ(find_path("avx"), std::nullopt);
}

}  // namespace
}  // namespace cogvx::cpu
