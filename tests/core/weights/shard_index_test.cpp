#include "core/weights/shard_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/weights/weights_test_support.h"

namespace cogvx {
namespace {

using namespace test;
using testing::HasSubstr;

std::string index_error(const std::string& text) {
  return data_error([&] { parse_shard_index(text, "i.json"); });
}

TEST(ShardIndex, NamesTheShardOfEachTensor) {
  const auto found = parse_shard_index(
      R"({"metadata":{"total_size":9},"weight_map":{"a":"one.safetensors","b":"..two"}})", "i");
  EXPECT_EQ(found, (std::map<std::string, std::string>{{"a", "one.safetensors"}, {"b", "..two"}}));
}

TEST(ShardIndex, FilesOutsideItsFolderAreDataErrors) {
  for (const char* file :
       {R"("../one")", R"("/etc/passwd")", R"("a/b")", R"("a/")", R"("..")", R"(".")", R"("")",
        R"("one.safetensors\u0000")", "3", "null", R"(["one"])"}) {
    EXPECT_THAT(index_error(R"({"weight_map":{"wide":)" + std::string(file) + "}}"),
                HasSubstr("i.json: tensor 'wide' is said to be in"))
        << file;
  }
}

TEST(ShardIndex, WhatIsNoIndexIsADataError) {
  for (const char* text : {"{}", R"({"weight_map":[]})", R"({"weight_map":null})"})
    EXPECT_THAT(index_error(text), HasSubstr("i.json: is not an index")) << text;
  for (const char* text : {"", "[1]", R"({"weight_map")"})
    EXPECT_THAT(index_error(text), HasSubstr("i.json: is not ")) << text;
  EXPECT_THAT(index_error(R"({"weight_map":{"a":"one","a":"two"}})"), HasSubstr("key 'a'"));
}

}  // namespace
}  // namespace cogvx
