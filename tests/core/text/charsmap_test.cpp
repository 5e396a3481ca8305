#include "core/text/charsmap.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "core/base/read_file.h"
#include "tests/core/weights/weights_test_support.h"
#include "tests/support/test_paths.h"

namespace cogvx {
namespace {

using namespace test;
using namespace std::string_literals;
using testing::HasSubstr;

std::string error_of(const std::string& model) {
  return data_error([&] { check_charsmaps(model, "spiece.model"); });
}

// One length-delimited protobuf field.
std::string field(int number, const std::string& bytes) {
  std::string text(1, static_cast<char>(number << 3 | 2));
  for (size_t left = bytes.size(); true; left >>= 7) {
    text += static_cast<char>(left < 0x80 ? left : (left & 0x7fU) | 0x80U);
    if (left < 0x80) return text + bytes;
  }
}

// A model of one rule set: a trie of 256 units, all leaves but those given, and the texts.
std::string model_with(const std::vector<std::pair<size_t, uint32_t>>& units,
                       const std::string& texts = "ab\0"s, int place = 3) {
  std::vector<uint32_t> trie(256, 1U << 31);
  for (const auto& [index, unit] : units) trie.at(index) = unit;
  const uint32_t bytes = 1024;
  std::string map(reinterpret_cast<const char*>(&bytes), 4);
  map.append(reinterpret_cast<const char*>(trie.data()), bytes);
  return field(place, field(2, map + texts));
}

TEST(Charsmap, TheDemoModelsIsSound) {
  EXPECT_EQ(error_of(read_file(source_dir() / "configs/demo/tokenizer/spiece.model", 1 << 20)), "");
  EXPECT_EQ(error_of(""), "") << "no rules at all";
}

TEST(Charsmap, UnitsThatLeadOutsideTheTrieAreADataError) {
  EXPECT_EQ(error_of(model_with({{0, 5U << 10}})), "");
  for (const int place : {3, 5}) {
    EXPECT_THAT(error_of(model_with({{0, 256U << 10}}, "a\0"s, place)), HasSubstr("are broken"));
    EXPECT_THAT(error_of(model_with({{7, 1U << 10 | 1U << 9}}, "a\0"s, place)),
                HasSubstr("are broken"));
  }
}

TEST(Charsmap, LeavesThatLeadOutsideTheTextsAreADataError) {
  const uint32_t to_leaf_9 = 9U << 10 | 1U << 8;
  EXPECT_EQ(error_of(model_with({{0, to_leaf_9}, {9, 1U << 31 | 2}})), "");
  EXPECT_THAT(error_of(model_with({{0, to_leaf_9}, {9, 1U << 31 | 3}})), HasSubstr("are broken"));
  EXPECT_THAT(error_of(model_with({}, "ab")), HasSubstr("are broken")) << "no NUL at the end";
}

TEST(Charsmap, EveryTruncationOfTheRulesIsReadOrADataError) {
  const std::string model = model_with({{0, 5U << 10}});
  for (size_t length = 1; length < model.size(); ++length)
    EXPECT_THAT(error_of(model.substr(0, length)), HasSubstr("are broken")) << length;
}

}  // namespace
}  // namespace cogvx
