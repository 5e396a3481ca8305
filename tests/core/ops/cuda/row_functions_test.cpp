#include "core/ops/cuda/row_functions.h"

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <type_traits>

#include "core/ops/cuda/host_grid.h"

namespace cogvx::cuda {
namespace {

// Every 16-bit pattern, and around each of its values the fp32 patterns where roundings change.
template <typename T, typename Torch>
void expect_roundings_of(T) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const Torch torch(static_cast<uint16_t>(bits), Torch::from_bits());
    const T ours{static_cast<uint16_t>(bits)};
    const auto value = static_cast<float>(torch);
    if (std::isnan(value)) {
      ASSERT_TRUE(std::isnan(load(ours))) << bits;
      continue;
    }
    ASSERT_EQ(std::bit_cast<uint32_t>(load(ours)), std::bit_cast<uint32_t>(value)) << bits;
    const T next{static_cast<uint16_t>(bits + 1)};
    const float middle = value / 2 + load(next) / 2;
    for (const float around : {value, middle}) {
      for (const float x :
           {around, std::nextafterf(around, 1e30F), std::nextafterf(around, -1e30F)}) {
        if (std::isnan(x)) continue;
        T stored;
        store(stored, x);
        ASSERT_EQ(stored.bits, Torch(x).x) << x;
      }
    }
  }
}

TEST(StorageTypes, HalfRoundsAsPyTorchDoes) { expect_roundings_of<Half, c10::Half>(Half{}); }
TEST(StorageTypes, Bf16RoundsAsPyTorchDoes) { expect_roundings_of<Bf16, c10::BFloat16>(Bf16{}); }

TEST(StorageTypes, NanStaysNan) {
  EXPECT_TRUE(std::isnan(rounded<Half>(std::numeric_limits<float>::quiet_NaN())));
  EXPECT_TRUE(std::isnan(rounded<Bf16>(std::numeric_limits<float>::quiet_NaN())));
  EXPECT_TRUE(std::isnan(rounded<Bf16>(std::bit_cast<float>(0xffffffffU))));
  EXPECT_EQ(colour_byte<float>(std::numeric_limits<float>::quiet_NaN()), 0);
}

// The folding is fixed: another order would give another last bit.
TEST(RowFunctions, LanesAreFoldedInHalves) {
  float lanes[kLanes];
  for (int l = 0; l < kLanes; ++l) lanes[l] = std::ldexp(1.0F + 0.1F * static_cast<float>(l), l);
  float halves[kLanes];
  std::copy_n(lanes, kLanes, halves);
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int l = 0; l < half; ++l) halves[l] = halves[l] + halves[l + half];
  }
  float in_turn = 0;
  for (const float lane : lanes) in_turn += lane;
  ASSERT_NE(halves[0], in_turn) << "these numbers cannot tell the orders apart";
  EXPECT_EQ(folded_lanes(static_cast<const float*>(lanes), 0), halves[0]);
}

TEST(Launch, LimitsAreTheDevices) {
  const Launch good{kMaxBlocksX, kMaxBlocksY, kMaxThreads, kMaxSharedBytes};
  EXPECT_TRUE(is_legal(good));
  EXPECT_FALSE(is_legal({good.x + 1, 1, 32, 0}));
  EXPECT_FALSE(is_legal({1, good.y + 1, 32, 0}));
  EXPECT_FALSE(is_legal({1, 1, good.threads + 1, 0}));
  EXPECT_FALSE(is_legal({1, 1, 0, 0}));
  EXPECT_FALSE(is_legal({1, 1, 32, good.shared_bytes + 1}));
  EXPECT_FALSE(is_legal({-1, 1, 32, 0}));
  EXPECT_FALSE(is_legal({1, -1, 32, 0}));
  EXPECT_TRUE(is_empty({0, 1, 32, 0}));
  EXPECT_TRUE(is_empty({1, 0, 32, 0}));
}

template <typename Call>
Launch launch_of(const Call& call) {
  return make<Bf16>(call, DeviceMemory{}).launch();
}

// 1.5's largest request (768 x 1360, 81 frames) and ten times its rows.
TEST(Launch, EveryModelsShapesAreLegal) {
  for (const int64_t rows : {1, 64, 17776, 85904, 859040}) {
    for (const int64_t heads : {3, 30, 48}) {
      const int64_t width = 64 * heads;
      EXPECT_TRUE(is_legal(launch_of(ModulatedNormCall{.rows = rows, .width = width})));
      EXPECT_TRUE(is_legal(launch_of(GatedAddCall{.rows = rows, .width = width})));
      EXPECT_TRUE(is_legal(launch_of(PrepareQkvCall{.rows = rows, .heads = heads, .width = 64})));
    }
  }
  EXPECT_TRUE(
      is_legal(launch_of(BlendCall{.channels = 3, .frames = 810, .height = 384, .width = 680})));
  EXPECT_TRUE(is_legal(launch_of(RgbCall{.frames = 810, .height = 768, .width = 1360})));
}

// A shape that does not fit is refused before anything runs, never cut.
TEST(Launch, WhatDoesNotFitIsRefused) {
  EXPECT_FALSE(
      is_legal(launch_of(BlendCall{.channels = 3, .frames = 21846, .height = 1, .width = 1})));
  EXPECT_FALSE(is_legal(launch_of(GatedAddCall{.rows = 1, .width = kMaxBlocksY * 1024 + 1})));
  EXPECT_FALSE(is_legal(launch_of(GatedAddCall{.rows = kMaxBlocksX + 1, .width = 1})));
  EXPECT_FALSE(
      is_legal(launch_of(PrepareQkvCall{.rows = 1, .heads = kMaxBlocksY * 16, .width = 2})));
  const RgbCall frames_too_many{.frames = kMaxBlocksY + 1, .height = 1, .width = 1};
  ASSERT_FALSE(is_legal(launch_of(frames_too_many)));
  EXPECT_FALSE(run_on_host(frames_too_many));
}

// Which rows are text, and where tensors lie, is no part of the geometry.
TEST(Launch, FollowsFromTheShapeAlone) {
  float value = 0;
  const GatedAddCall plain{.rows = 65, .width = 1920};
  GatedAddCall other = plain;
  other.x_RD = &value;
  other.kinds = {.first_row = 192, .text_rows = 226};
  const Launch a = launch_of(plain);
  const Launch b = launch_of(other);
  EXPECT_EQ(a.x, b.x);
  EXPECT_EQ(a.y, b.y);
  EXPECT_EQ(a.threads, b.threads);
  EXPECT_TRUE(std::is_trivially_copyable_v<decltype(make<Bf16>(plain, DeviceMemory{}))>)
      << "a kernel is handed to the device byte for byte";
}

}  // namespace
}  // namespace cogvx::cuda
