#include "core/transformer/positions.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/base/errors.h"
#include "tests/support/golden.h"

namespace cogvx {
namespace {

using namespace test;
using Entries = std::vector<std::pair<int64_t, double>>;

void expect_entries(const at::Tensor& row, const Entries& wanted, double tolerance) {
  for (const auto& [index, value] : wanted)
    EXPECT_NEAR(row[index].item<double>(), value, tolerance) << "entry " << index;
}

TEST(Positions, TimestepSinusoidHasTheReferenceValues) {
  expect_entries(timestep_sinusoid(999, 1920),
                 {{0, 0.9996498},
                  {1, -0.9901626},
                  {2, 0.9867164},
                  {959, 0.9949176},
                  {960, -0.0264608},
                  {961, 0.1399215},
                  {1919, 0.1006921}},
                 1e-5);
  expect_entries(timestep_sinusoid(2, 512),
                 {{0, -0.4161468},
                  {1, -0.3508952},
                  {255, 1.0},
                  {256, 0.9092974},
                  {257, 0.9364148},
                  {511, 0.0002073}},
                 1e-6);
}

TEST(Positions, SincosHasTheReferenceValues) {
  TransformerConfig config;  // the 2B's
  const PatchGrid grid{2, 30, 45};
  const at::Tensor table = sincos_positions(config, grid, at::kDouble);
  ASSERT_EQ(table.sizes(), at::IntArrayRef({grid.tokens(), 1920}));
  expect_entries(table[(1 * 30 + 3) * 45 + 7],
                 {{0, 0.841470985},
                  {1, 0.820537435},
                  {239, 0.000103912},
                  {240, 0.540302306},
                  {479, 0.999999995},
                  {480, -0.557806594},
                  {839, 0.000383008},
                  {840, -0.829970965},
                  {1199, 0.999999927},
                  {1200, 0.999573602},
                  {1559, 0.000164146},
                  {1560, -0.029199546},
                  {1919, 0.999999987}},
                 2e-7);
}

TransformerConfig rotary_config() {
  TransformerConfig config;
  config.num_attention_heads = 48;
  config.use_rotary_positional_embeddings = true;
  return config;
}

TEST(Positions, RotaryHasTheReferenceValues) {
  const PatchGrid grid{3, 30, 45};
  const RotaryTables tables = rotary_positions(rotary_config(), grid);
  ASSERT_EQ(tables.cos.sizes(), at::IntArrayRef({grid.tokens(), 64}));
  const int64_t token = (2 * 30 + 3) * 45 + 5;
  expect_entries(tables.cos[token],
                 {{0, -0.4161468},
                  {1, -0.4161468},
                  {2, 0.8065784},
                  {14, 0.9999998},
                  {16, -0.9899925},
                  {18, 0.1773761},
                  {38, 0.9999998},
                  {40, 0.2836622},
                  {42, -0.6816375},
                  {62, 0.9999995}},
                 1e-6);
  expect_entries(tables.sin[token],
                 {{0, 0.9092974},
                  {2, 0.5911271},
                  {14, 0.0006325},
                  {16, 0.14112},
                  {18, 0.9841431},
                  {38, 0.0006463},
                  {40, -0.9589243},
                  {42, 0.73169},
                  {62, 0.0010772}},
                 1e-6);
}

// First and last position of an axis, read back from the slowest-free channel: cos and sin of the
// position itself stand first in each axis's part.
void expect_range(const RotaryTables& tables, int64_t first, int64_t last, int64_t channel,
                  double first_position, double last_position) {
  for (const auto& [token, position] : {std::pair{first, first_position}, {last, last_position}}) {
    EXPECT_NEAR(tables.cos[token][channel].item<double>(), std::cos(position), 3e-6) << position;
    EXPECT_NEAR(tables.sin[token][channel].item<double>(), std::sin(position), 3e-6) << position;
  }
}

TEST(Positions, RotaryGridLiesInTheTrainedOneAsInTheReference) {
  struct Case {
    int64_t height, width;
    double top, bottom, left, right;
  };
  for (const Case& c :
       {Case{30, 45, 0, 30, 0, 45}, Case{45, 30, 0, 30, 12, 32}, Case{48, 48, 0, 30, 8, 38},
        Case{32, 52, 1, 29, 0, 45}, Case{24, 42, 2, 28, 0, 45}}) {
    const RotaryTables tables = rotary_positions(rotary_config(), {1, c.height, c.width});
    const auto h = static_cast<double>(c.height);
    const auto w = static_cast<double>(c.width);
    expect_range(tables, 0, (c.height - 1) * c.width, 16, c.top, c.bottom * (h - 1) / h);
    expect_range(tables, 0, c.width - 1, 40, c.left, c.right * (w - 1) / w);
  }
}

TransformerConfig slice_config() {
  TransformerConfig config = rotary_config();
  config.patch_size_t = 2;
  config.sample_height = 96;
  config.sample_width = 170;
  config.sample_frames = 81;
  return config;
}

TransformerConfig learned_config() {
  TransformerConfig config = rotary_config();
  config.in_channels = 32;
  config.use_learned_positional_embeddings = true;
  return config;
}

TEST(Positions, TheSliceGridIsWholeNumbersWhateverTheTrainedSize) {
  TransformerConfig config = slice_config();
  const RotaryTables tables = rotary_positions(config, {11, 48, 85});
  expect_range(tables, 0, 10 * 48 * 85, 0, 0, 10);
  expect_range(tables, 0, 47 * 85, 16, 0, 47);
  expect_range(tables, 0, 84, 40, 0, 84);
  config.sample_height = config.sample_width = 300;
  EXPECT_TRUE(same_bytes(rotary_positions(config, {11, 48, 85}).cos, tables.cos));
}

TEST(Positions, OnlyTheTrainedFramesHaveLearnedPositions) {
  TransformerConfig config = learned_config();
  EXPECT_EQ(added_positions(config, {13, 30, 45}), AddedPositions::kLearned);
  for (const int64_t frames : {1, 12, 14})
    EXPECT_EQ(added_positions(config, {frames, 30, 45}), AddedPositions::kSincos) << frames;
  config.sample_frames = 50;  // 13 latent frames of 50 count as 49 in diffusers
  EXPECT_EQ(added_positions(config, {13, 30, 45}), AddedPositions::kSincos);
  EXPECT_EQ(added_positions(rotary_config(), {13, 30, 45}), AddedPositions::kNone);
  EXPECT_EQ(added_positions(TransformerConfig{}, {13, 30, 45}), AddedPositions::kSincos);
}

std::string usage_error(const TransformerConfig& config, const LatentExtent& latents,
                        int64_t text_rows = 226) {
  try {
    check_positions(config, latents, text_rows);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

TEST(Positions, LatentsThatHaveNoneAreUsageErrors) {
  EXPECT_EQ(usage_error(slice_config(), {22, 96, 170}), "");
  EXPECT_EQ(usage_error(slice_config(), {22, 98, 160}),
            "the latents are 98x160 (height x width, an eighth of the pixels), this model's "
            "positions end at 96x170; use a smaller size");
  EXPECT_NE(usage_error(slice_config(), {22, 96, 172}), "");
  EXPECT_EQ(usage_error(slice_config(), {21, 96, 170}),
            "the latents have 21 frames, this model takes them by twos; use an even number");
  EXPECT_EQ(usage_error(learned_config(), {13, 60, 90}), "");
  EXPECT_EQ(usage_error(learned_config(), {14, 60, 90}), "");
  EXPECT_EQ(usage_error(learned_config(), {13, 60, 88}),
            "the latents are 60x88 (height x width, an eighth of the pixels), this model's learned "
            "positions are for 60x90 alone; use that size");
  EXPECT_EQ(usage_error(learned_config(), {13, 60, 90}, 225),
            "the text has 225 rows, this model's learned positions are for 226 alone; use that "
            "length");
  EXPECT_EQ(usage_error(rotary_config(), {13, 98, 300}, 20), "");
  EXPECT_EQ(usage_error(rotary_config(), {13, 61, 90}),
            "the latents are 61x90 (height x width, an eighth of the pixels), this model's patches "
            "are 2x2; use multiples of that");
}

}  // namespace
}  // namespace cogvx
