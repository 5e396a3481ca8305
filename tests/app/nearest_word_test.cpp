#include "app/nearest_word.h"

#include <gtest/gtest.h>

namespace cogvx::app {
namespace {

TEST(NearestWord, FindsSlipsOfEveryKindAndNothingFarAway) {
  const std::vector<std::string> known = {"--seed", "--steps", "--frames", "-o"};
  EXPECT_EQ(nearest_word("--sed", known), "--seed");
  EXPECT_EQ(nearest_word("--stepss", known), "--steps");
  EXPECT_EQ(nearest_word("--stebs", known), "--steps");
  EXPECT_EQ(nearest_word("--fraems", known), "--frames");
  EXPECT_EQ(nearest_word("--prompt", known), "");
  EXPECT_EQ(nearest_word("-x", known), "-o");
  EXPECT_EQ(nearest_word(std::string(100000, 's'), known), "");
  EXPECT_EQ(nearest_word("", {}), "");
}

}  // namespace
}  // namespace cogvx::app
