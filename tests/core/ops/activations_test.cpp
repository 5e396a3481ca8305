#include <c10/util/BFloat16.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "core/ops/cpu/kernels.h"
#include "tests/support/cpu_path.h"

// What the kernels of every path of this CPU make of single numbers.
namespace cogvx::cpu {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

class Activations : public testing::TestWithParam<CpuPath> {
 protected:
  template <typename T>
  std::vector<T> finished(Finish activation, const std::vector<float>& x) const {
    std::vector<T> y(x.size());
    kernels_of(GetParam())
        .finish(FinishCall<T>{.c = x.data(),
                              .ldc = 0,
                              .bias = nullptr,
                              .gate = nullptr,
                              .activation = activation,
                              .rows = 1,
                              .columns = std::ssize(x),
                              .y = y.data(),
                              .ldy = 0});
    return y;
  }
  // Over evenly spaced arguments.
  template <typename Exact>
  double largest_relative_error(Finish activation, float from, float to, const Exact& exact) const {
    constexpr int kSteps = 400'000;
    std::vector<float> x(kSteps + 1);
    for (int i = 0; i <= kSteps; ++i)
      x[i] = from + (to - from) * static_cast<float>(i) / static_cast<float>(kSteps);
    const std::vector<float> y = finished<float>(activation, x);
    double largest = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double wanted = exact(static_cast<double>(x[i]));
      if (wanted == 0) continue;
      largest = std::max(largest, std::abs((static_cast<double>(y[i]) - wanted) / wanted));
    }
    return largest;
  }
};

double exact_silu(double x) { return x / (1 + std::exp(-x)); }
double exact_gelu(double x) {
  const double u = std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
  return x / (1 + std::exp(-2 * u));
}

TEST_P(Activations, AreCloseToTheExactValues) {
  EXPECT_LE(largest_relative_error(Finish::kSilu, -20.0f, 20.0f, exact_silu), 2e-6);
  EXPECT_LE(largest_relative_error(Finish::kSilu, -2.0f, 20.0f, exact_silu), 4e-7);
  EXPECT_LE(largest_relative_error(Finish::kGeluTanh, -2.0f, 10.0f, exact_gelu), 1e-6);
  // Further left the values vanish and the argument's rounding grows with it.
  EXPECT_LE(largest_relative_error(Finish::kGeluTanh, -4.0f, -2.0f, exact_gelu), 5e-6);
}

TEST_P(Activations, VanishFarLeftPassFarRightAndKeepNan) {
  for (const Finish activation : {Finish::kSilu, Finish::kGeluTanh}) {
    const std::vector<float> y =
        finished<float>(activation, {-1000.0f, 1000.0f, 0.0f, kInfinity, kNan});
    EXPECT_EQ(y[0], 0.0f);
    EXPECT_EQ(y[1], 1000.0f);
    EXPECT_EQ(y[2], 0.0f);
    EXPECT_EQ(y[3], kInfinity);
    EXPECT_TRUE(std::isnan(y[4]));
  }
}

// NaN has many bit patterns; it only has to stay one.
void expect_rounded_as_aten(float value, Bf16 found) {
  if (std::isnan(value)) {
    EXPECT_TRUE(std::isnan(load(found))) << std::hex << std::bit_cast<uint32_t>(value);
  } else {
    EXPECT_EQ(found.bits, c10::BFloat16(value).x) << std::hex << std::bit_cast<uint32_t>(value);
  }
}

TEST_P(Activations, Bf16RoundsAsAten) {
  std::vector<float> x;
  for (uint32_t upper = 0; upper < 0x10000; ++upper) {
    // The instructions for bf16 take a number too small for its exponent for zero.
    const bool subnormal = (upper & 0x7f80U) == 0;
    if (subnormal) continue;
    for (const uint32_t lower : {0x0000U, 0x0001U, 0x7fffU, 0x8000U, 0x8001U, 0xffffU})
      x.push_back(std::bit_cast<float>(upper << 16 | lower));
  }
  const std::vector<Bf16> y = finished<Bf16>(Finish::kPlain, x);
  for (size_t i = 0; i < x.size(); ++i) expect_rounded_as_aten(x[i], y[i]);
}

INSTANTIATE_TEST_SUITE_P(Paths, Activations, testing::ValuesIn(supported_paths()),
                         [](const auto& i) { return test::path_label(i.param); });

TEST(Storage, Bf16RoundsAsAten) {
  std::mt19937 random(1);
  for (int i = 0; i < 1'000'000; ++i) {
    const float value = std::bit_cast<float>(static_cast<uint32_t>(random()));
    Bf16 ours{};
    store(ours, value);
    expect_rounded_as_aten(value, ours);
  }
  for (uint32_t upper = 0; upper < 0x10000; ++upper)
    EXPECT_EQ(std::bit_cast<uint32_t>(load(Bf16{static_cast<uint16_t>(upper)})), upper << 16);
}

}  // namespace
}  // namespace cogvx::cpu
