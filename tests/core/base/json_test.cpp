#include "core/base/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/core/weights/weights_test_support.h"

namespace cogvx {
namespace {

using namespace test;
using namespace std::string_literals;
using nlohmann::json;
using testing::HasSubstr;
using testing::StartsWith;

std::string parse_error(const std::string& text) {
  return data_error([&] { parse_json_object(text, "x.json"); });
}

std::string nested(size_t depth) {
  return "{\"a\":" + std::string(depth - 1, '[') + std::string(depth - 1, ']') + "}";
}

TEST(Json, AnObjectIsRead) {
  EXPECT_EQ(parse_json_object(R"({"a":[1,-2,2.5,null,true],"b":{"a":"é"}})", "x"),
            (json{{"a", {1, -2, 2.5, nullptr, true}}, {"b", {{"a", "é"}}}}));
}

TEST(Json, ASyntaxErrorIsNamedWithItsByte) {
  EXPECT_EQ(parse_error(R"({"a": })"),
            "x.json: is not JSON: syntax error at byte 7; is the file complete?");
  const std::string good = R"({"a":[1,{"b":"é"}]})";
  for (size_t length = 0; length < good.size(); ++length)
    EXPECT_THAT(parse_error(good.substr(0, length)), HasSubstr("syntax error at byte")) << length;
  for (const char* text : {"{} {}", "{\"a\":01}", "{\"a\":NaN}", "{\"a\":\"\xff\"}", "{'a':1}"})
    EXPECT_THAT(parse_error(text), HasSubstr("syntax error at byte")) << text;
}

TEST(Json, ANulByteDoesNotEndTheText) {
  EXPECT_THAT(parse_error("{}\0rest"s), HasSubstr("syntax error at byte 3"));
}

TEST(Json, WhatIsNoObjectIsSaid) {
  for (const char* text : {"[]", "5", "\"a\"", "null"})
    EXPECT_EQ(parse_error(text), "x.json: is not a JSON object: it is " + std::string(text));
}

TEST(Json, DuplicateKeysAreNamed) {
  EXPECT_EQ(parse_error(R"({"a":1,"b":2,"a":1})"), "x.json: key 'a' stands twice in one object");
  EXPECT_THAT(parse_error(R"({"a":[{"b":{"c":1,"c\n":2,"\u0063":3}}]})"), HasSubstr("key 'c'"));
  EXPECT_EQ(parse_error(R"({"a":{"a":1},"b":[{"a":1},{"a":2}]})"), "");
}

TEST(Json, DeepNestingIsADataError) {
  EXPECT_EQ(parse_error(nested(64)), "");
  EXPECT_THAT(parse_error(nested(65)), HasSubstr("deeper than 64"));
  EXPECT_THAT(parse_error(std::string(10'000'000, '[')), HasSubstr("deeper than 64"));
}

TEST(Json, TooManyValuesAreADataError) {
  std::string text = "{\"a\":[0";
  for (int i = 0; i < 1 << 20; ++i) text += ",0";
  EXPECT_THAT(parse_error(text + "]}"), HasSubstr("more than 1048576 values"));
}

// A parser with a callback would look at all 100,000 members anew after each of them.
TEST(Json, ManyMembersTakeLittleTime) {
  std::string text = "{";
  for (int i = 0; i < 100'000; ++i) text.append("\"").append(std::to_string(i)).append("\":{},");
  EXPECT_EQ(parse_json_object(text + "\"last\":1}", "x").size(), 100'001U);
}

TEST(Json, ANumberNoDoubleCanHoldIsADataError) {
  EXPECT_THAT(parse_error(R"({"a":1e400})"), HasSubstr("no double can hold"));
}

TEST(Json, AGitLfsPointerIsNamed) {
  EXPECT_THAT(parse_error("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
              StartsWith("x.json: is a Git LFS pointer"));
}

TEST(Json, ExcerptsAreShortLinesOfUtf8) {
  EXPECT_EQ(json_excerpt(json{{"a", {1, "b\n"}}}), R"({"a":[1,"b\n"]})");
  for (size_t shift = 0; shift < 4; ++shift) {
    std::string long_text(shift, 'x');
    for (int i = 0; i < 100; ++i) long_text += "\xf0\x9f\x8e\x88";
    const std::string excerpt = json_excerpt(long_text);
    EXPECT_LE(excerpt.size(), 83U);
    EXPECT_GE(excerpt.size(), 80U);
    EXPECT_NO_THROW((void)json(excerpt).dump()) << "not UTF-8";
  }
  EXPECT_EQ(json_excerpt("a\xff"), "\"a\xef\xbf\xbd\"");
  EXPECT_EQ(quoted_excerpt("a'b\n\x1b"), R"('a'b\n\u001b')");
}

}  // namespace
}  // namespace cogvx
