#include "core/vae/posterior.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

namespace cogvx {
namespace {

// Where the mean is 0, even the smallest deviation shows.
TEST(Posterior, TheLogVarianceIsCutAtBothEnds) {
  const NoiseDraw ones = [](const std::vector<int64_t>& shape, at::ScalarType dtype) {
    EXPECT_EQ(shape, (std::vector<int64_t>{1, 1, 1, 1}));
    return at::ones(shape, dtype);
  };
  for (const auto& [log_variance, cut] :
       {std::pair{-100.0, -30.0}, {-29.0, -29.0}, {0.0, 0.0}, {19.0, 19.0}, {100.0, 20.0}}) {
    const at::Tensor moments = at::tensor({0.0, log_variance}, at::kFloat).view({2, 1, 1, 1});
    const double wanted = std::exp(0.5 * cut);
    EXPECT_NEAR(sample_posterior(moments, ones).item<double>(), wanted, 1e-6 * wanted);
    EXPECT_EQ(mode_of(moments).item<double>(), 0);
  }
}

}  // namespace
}  // namespace cogvx
