#include "core/schedule/scheduler.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/base/errors.h"
#include "core/base/random.h"
#include "tests/support/golden.h"

namespace cogvx {
namespace {

using namespace test;

SchedulerConfig trained(double snr_shift, SchedulerKind kind = SchedulerKind::kDdim) {
  SchedulerConfig config;
  config.kind = kind;
  config.prediction_type = PredictionType::kVPrediction;
  config.timestep_spacing = TimestepSpacing::kTrailing;
  config.rescale_betas_zero_snr = true;
  config.snr_shift_scale = snr_shift;
  return config;
}

TEST(Scheduler, AlphasHaveTheReferenceValues) {
  const auto expect = [](double snr_shift, const std::vector<std::pair<int, double>>& wanted) {
    const at::Tensor alphas = cumulative_alphas(trained(snr_shift));
    ASSERT_EQ(alphas.scalar_type(), at::kDouble);
    for (const auto& [timestep, value] : wanted)
      EXPECT_NEAR(alphas[timestep].item<double>(), value, 1e-14 + 1e-11 * value) << timestep;
    EXPECT_EQ(alphas[999].item<double>(), 0.0);
  };
  expect(3, {{0, 0.9974543276430069},
             {19, 0.9465729792377547},
             {499, 0.09596956169073545},
             {979, 2.7194360400217723e-05},
             {998, 6.23078846739516e-08}});
  expect(1, {{0, 0.99915},
             {19, 0.9810104569288466},
             {499, 0.24235916655614534},
             {979, 8.578784340054837e-05},
             {998, 1.967888056621159e-07}});
}

using Steps = std::vector<int64_t>;

TEST(Scheduler, TimestepsHaveTheReferenceValues) {
  SchedulerConfig config = trained(1);
  EXPECT_EQ(inference_timesteps(config, 1), (Steps{999}));
  EXPECT_EQ(inference_timesteps(config, 2), (Steps{999, 499}));
  const Steps fifty = inference_timesteps(config, 50);
  ASSERT_EQ(fifty.size(), 50U);
  EXPECT_EQ(fifty[1], 979);
  EXPECT_EQ(fifty[49], 19);
  const Steps thirty = inference_timesteps(config, 30);
  EXPECT_EQ(Steps(thirty.begin(), thirty.begin() + 4), (Steps{999, 966, 932, 899}));
  EXPECT_EQ(Steps(thirty.end() - 2, thirty.end()), (Steps{66, 32}));
  const Steps many = inference_timesteps(config, 400);
  EXPECT_EQ(Steps(many.begin(), many.begin() + 4), (Steps{999, 997, 994, 991}));
  for (const int64_t steps : {61, 103, 121, 122, 201, 206, 217, 223, 227, 233, 242, 244, 397}) {
    const Steps found = inference_timesteps(config, steps);
    EXPECT_EQ(found.size(), static_cast<size_t>(steps) + 1) << steps;
    EXPECT_EQ(found.back(), -1) << steps;
  }
  config.timestep_spacing = TimestepSpacing::kLinspace;
  const Steps even = inference_timesteps(config, 50);
  EXPECT_EQ(Steps(even.begin(), even.begin() + 4), (Steps{999, 979, 958, 938}));
  EXPECT_EQ(Steps(even.end() - 3, even.end()), (Steps{41, 20, 0}));
  EXPECT_EQ(inference_timesteps(config, 1), (Steps{0}));
  config.timestep_spacing = TimestepSpacing::kLeading;
  config.steps_offset = 1;
  EXPECT_EQ(inference_timesteps(config, 3), (Steps{667, 334, 1}));
}

TEST(Scheduler, SixtyTwoStepCountsHaveOneTimestepMore) {
  int more = 0;
  for (int64_t steps = 1; steps <= 1000; ++steps)
    more += static_cast<int64_t>(inference_timesteps(trained(1), steps).size()) != steps;
  EXPECT_EQ(more, 62);
}

TEST(Scheduler, StepsOutsideTheTrainedOnesAreAUsageError) {
  for (const int64_t steps : {0, -1, 1001})
    EXPECT_THROW(inference_timesteps(trained(1), steps), UsageError);
}

TEST(Scheduler, DynamicGuidanceHasTheReferenceValues) {
  for (const auto& [timestep, value] : std::vector<std::pair<int64_t, double>>{{999, 2.2914871746},
                                                                               {979, 2.5435028668},
                                                                               {959, 6.9743518322},
                                                                               {939, 6.4203584231},
                                                                               {919, 2.7880975292},
                                                                               {499, 1.5212656935},
                                                                               {39, 1.000003932},
                                                                               {19, 1.12339794}}) {
    EXPECT_NEAR(dynamic_guidance(6, 50, timestep), value, 1e-8) << timestep;
  }
}

// Ones and zeros make a step show its coefficients.
TEST(Scheduler, DdimGoesFromMinusVelocityToItsOwnX0) {
  const Scheduler scheduler(trained(1), 50);
  at::Generator generator = make_generator(1);
  SchedulerMemory memory;
  const at::Tensor x = at::full({4}, 3, at::kFloat);
  const at::Tensor v = at::full({4}, 2, at::kFloat);
  // First: nothing of the sample is signal, so x0 = -v; x_prev = a x + sqrt(alpha_prev) x0.
  const double alpha = cumulative_alphas(trained(1))[979].item<double>();
  const at::Tensor first = scheduler.step(0, v, x, memory, draws_from(generator));
  EXPECT_NEAR(first[0].item<double>(), std::sqrt(1 - alpha) * 3 - std::sqrt(alpha) * 2, 1e-6);
  // Last: previous is below 0, so the result is x0 itself.
  const double last_alpha = cumulative_alphas(trained(1))[19].item<double>();
  const at::Tensor last = scheduler.step(49, v, x, memory, draws_from(generator));
  EXPECT_NEAR(last[0].item<double>(), std::sqrt(last_alpha) * 3 - std::sqrt(1 - last_alpha) * 2,
              1e-6);
}

TEST(Scheduler, DpmHasTheReferenceCoefficients) {
  const Scheduler scheduler(trained(1, SchedulerKind::kDpm), 50);
  const std::vector<int64_t> shape{1, 2, 4, 4, 6};
  const at::Tensor zeros = at::zeros(shape, at::kFloat);
  const at::Tensor ones = at::ones(shape, at::kFloat);
  const at::Tensor alphas = cumulative_alphas(trained(1));
  // At 959 behind 979. With x = 0 and v = 0 only old x0 and noise are left; with old x0 = 0 noise.
  const auto step = [&](const at::Tensor& old_x0, const at::Tensor& sample) {
    SchedulerMemory memory{.previous_x0 = old_x0};
    at::Generator generator = make_generator(9);
    return scheduler.step(2, zeros, sample, memory, draws_from(generator));
  };
  const at::Tensor noise_part = step(zeros, zeros);
  at::Generator generator = make_generator(9);
  draw_normal(shape, generator, at::kFloat);
  const at::Tensor second_draw = draw_normal(shape, generator, at::kFloat);
  EXPECT_LE(difference(noise_part, second_draw * 0.7697396982).max_abs, 1e-6);
  const double m1 = 0.6377554638, m2 = -0.0180011790, m3 = 1.3046098596, m4 = 0.3046098596;
  EXPECT_LE(difference(step(ones, zeros) - noise_part, ones * (m2 * m4)).max_abs, 1e-4);
  const double x0 = std::sqrt(alphas[959].item<double>());
  EXPECT_LE(difference(step(zeros, ones) - noise_part, ones * (m1 - m2 * m3 * x0)).max_abs, 1e-6);
}

TEST(Scheduler, DpmDrawsOnceFirstAndLastAndTwiceBetween) {
  const Scheduler scheduler(trained(1, SchedulerKind::kDpm), 50);
  const std::vector<int64_t> shape{1, 2, 4, 4, 6};
  const at::Tensor zeros = at::zeros(shape, at::kFloat);
  SchedulerMemory memory;
  at::Generator generator = make_generator(3);
  at::Generator reference = make_generator(3);
  for (int64_t i = 0; i < 50; ++i) {
    scheduler.step(i, zeros, zeros, memory, draws_from(generator));
    const int draws = i == 0 || i == 49 ? 1 : 2;
    for (int draw = 0; draw < draws; ++draw) draw_normal(shape, reference, at::kFloat);
    ASSERT_TRUE(same_bytes(generator.get_state(), reference.get_state())) << "step " << i;
  }
}

TEST(Random, AHalfPrecisionDrawIsNotTheRoundedSinglePrecisionDraw) {
  at::Generator one = make_generator(42);
  at::Generator two = make_generator(42);
  const at::Tensor full = draw_normal({64}, one, at::kFloat);
  const at::Tensor half = draw_normal({64}, two, at::kBFloat16);
  EXPECT_EQ(half.scalar_type(), at::kBFloat16);
  EXPECT_FALSE(same_bytes(half, full.to(at::kBFloat16)));
  // torch.randn(1, generator=torch.Generator().manual_seed(42))
  EXPECT_NEAR(full[0].item<double>(), 1.9269, 1e-4);
}

}  // namespace
}  // namespace cogvx
