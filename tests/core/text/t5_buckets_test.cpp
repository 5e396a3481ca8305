#include <gtest/gtest.h>

#include "core/text/t5_encoder.h"

namespace cogvx {
namespace {

TEST(T5Buckets, AreThoseOfTheReference) {
  const std::vector<std::pair<int64_t, int64_t>> wanted{
      {1, 17},  {7, 23},  {8, 24},  {11, 24},  {12, 25},  {15, 25}, {16, 26},
      {22, 26}, {23, 27}, {31, 27}, {32, 28},  {45, 28},  {46, 29}, {63, 29},
      {64, 30}, {90, 30}, {91, 31}, {127, 31}, {128, 31}, {225, 31}};
  EXPECT_EQ(relative_position_bucket(0, 32, 128), 0);
  for (const auto& [distance, bucket] : wanted) {
    EXPECT_EQ(relative_position_bucket(distance, 32, 128), bucket) << distance;
    EXPECT_EQ(relative_position_bucket(-distance, 32, 128), bucket - 16) << -distance;
  }
}

TEST(T5Buckets, NeverLeaveTheTable) {
  int64_t before = 16;
  for (int64_t distance = 1; distance < 3000; ++distance) {
    const int64_t bucket = relative_position_bucket(distance, 32, 128);
    EXPECT_GE(bucket, before);
    EXPECT_LT(bucket, 32);
    before = bucket;
  }
}

}  // namespace
}  // namespace cogvx
