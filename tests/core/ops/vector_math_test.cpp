#include "core/ops/cpu/vector_math.h"

#include <c10/util/BFloat16.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace cogvx::cpu {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Largest relative error of `fast` against `exact` over evenly spaced arguments.
template <typename Fast, typename Exact>
double largest_relative_error(float from, float to, const Fast& fast, const Exact& exact) {
  constexpr int kSteps = 400'000;
  double largest = 0;
  for (int i = 0; i <= kSteps; ++i) {
    const float x = from + (to - from) * static_cast<float>(i) / static_cast<float>(kSteps);
    const double wanted = exact(static_cast<double>(x));
    if (wanted == 0) continue;
    largest = std::max(largest, std::abs((static_cast<double>(fast(x)) - wanted) / wanted));
  }
  return largest;
}

double exact_exp(double x) { return std::exp(x); }
double exact_silu(double x) { return x / (1 + std::exp(-x)); }
double exact_gelu(double x) {
  const double u = std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
  return x / (1 + std::exp(-2 * u));
}

TEST(VectorMath, ExpIsWithinTwoUlpOfTheExactValue) {
  EXPECT_LE(largest_relative_error(-87.3f, 88.7f, exp_f32, exact_exp), 1.2e-7);
  EXPECT_LE(largest_relative_error(-1.0f, 1.0f, exp_f32, exact_exp), 1.2e-7);
  EXPECT_EQ(exp_f32(0.0f), 1.0f);
}

TEST(VectorMath, ExpEndsInZeroAndInfinityAndKeepsNan) {
  EXPECT_EQ(exp_f32(-87.4f), 0.0f);
  EXPECT_EQ(exp_f32(-1e30f), 0.0f);
  EXPECT_EQ(exp_f32(-kInfinity), 0.0f);
  EXPECT_EQ(exp_f32(88.8f), kInfinity);
  EXPECT_EQ(exp_f32(1e30f), kInfinity);
  EXPECT_EQ(exp_f32(kInfinity), kInfinity);
  EXPECT_TRUE(std::isnan(exp_f32(kNan)));
}

TEST(VectorMath, ActivationsAreCloseToTheExactValues) {
  EXPECT_LE(largest_relative_error(-20.0f, 20.0f, silu_f32, exact_silu), 4e-7);
  EXPECT_LE(largest_relative_error(-2.0f, 10.0f, gelu_tanh_f32, exact_gelu), 1e-6);
  // Further left the values vanish and the argument's rounding grows with it.
  EXPECT_LE(largest_relative_error(-4.0f, -2.0f, gelu_tanh_f32, exact_gelu), 5e-6);
}

TEST(VectorMath, ActivationsVanishFarLeftPassFarRightAndKeepNan) {
  for (const auto activation : {silu_f32, gelu_tanh_f32}) {
    EXPECT_EQ(activation(-1000.0f), 0.0f);
    EXPECT_EQ(activation(1000.0f), 1000.0f);
    EXPECT_EQ(activation(0.0f), 0.0f);
    EXPECT_EQ(activation(kInfinity), kInfinity);
    EXPECT_TRUE(std::isnan(activation(kNan)));
  }
}

void expect_rounds_as_aten(uint32_t bits) {
  const float value = std::bit_cast<float>(bits);
  Bf16 ours{};
  store(ours, value);
  // NaN has many bit patterns; it only has to stay one.
  if (std::isnan(value)) {
    EXPECT_TRUE(std::isnan(load(ours))) << std::hex << bits;
  } else {
    EXPECT_EQ(ours.bits, c10::BFloat16(value).x) << std::hex << bits;
  }
}

TEST(VectorMath, Bf16RoundsAsAten) {
  for (uint32_t upper = 0; upper < 0x10000; ++upper) {
    for (const uint32_t lower : {0x0000U, 0x0001U, 0x7fffU, 0x8000U, 0x8001U, 0xffffU})
      expect_rounds_as_aten(upper << 16 | lower);
    EXPECT_EQ(std::bit_cast<uint32_t>(load(Bf16{static_cast<uint16_t>(upper)})), upper << 16);
  }
  std::mt19937 random(1);
  for (int i = 0; i < 1'000'000; ++i) expect_rounds_as_aten(static_cast<uint32_t>(random()));
}

}  // namespace
}  // namespace cogvx::cpu
