#include "app/batch_file.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "core/base/errors.h"

namespace cogvx::app {
namespace {

using Lines = std::vector<std::pair<int64_t, std::string>>;

Lines lines_of(const std::string& text, const std::string& path = "b.txt") {
  Lines lines;
  for (const BatchLine& line : split_batch(text, path, path).lines)
    lines.emplace_back(line.number, line.text);
  return lines;
}

std::string refusal(const std::string& text, const std::string& path = "b.txt") {
  try {
    split_batch(text, path, path);
  } catch (const DataError& error) {
    return error.what();
  }
  return "no error";
}

TEST(BatchFile, LinesKeepTheirNumbersWhateverIsBetweenThem) {
  EXPECT_EQ(lines_of("a\nb"), (Lines{{1, "a"}, {2, "b"}}));
  EXPECT_EQ(lines_of("\n \t\na b \n\n\nc\n"), (Lines{{3, "a b "}, {6, "c"}}));
  EXPECT_EQ(lines_of("\xef\xbb\xbf"
                     "a\r\n\r\nb\r\n"),
            (Lines{{1, "a"}, {3, "b"}}));
}

TEST(BatchFile, TheNameTellsTheFormatElseTheFirstLine) {
  const auto format = [](const char* text, const char* path) {
    return split_batch(text, path, path).format;
  };
  EXPECT_EQ(format("{\"prompt\": \"a\"}", "b.jsonl"), BatchFormat::kJsonLines);
  EXPECT_EQ(format("a", "b.jsonl"), BatchFormat::kJsonLines);
  EXPECT_EQ(format("{a prompt in braces}", "b.txt"), BatchFormat::kPrompts);
  EXPECT_EQ(format("\n  {\"prompt\": \"a\"}", "-"), BatchFormat::kJsonLines);
  EXPECT_EQ(format("\na {\n{", "-"), BatchFormat::kPrompts);
}

TEST(BatchFile, WhatIsNoBatchIsRefused) {
  EXPECT_EQ(refusal(""), "b.txt: holds no line that is not blank; each is a video to be made");
  EXPECT_EQ(refusal("\n \r\n"),
            "b.txt: holds no line that is not blank; each is a video to be made");
  EXPECT_EQ(refusal(std::string("a\nb\0c\n", 6)),
            "b.txt:2: holds a NUL; is it a text file in UTF-8?");
  EXPECT_EQ(refusal("a\n" + std::string(kMaxBatchLineBytes + 1, 'x')),
            "b.txt:2: is longer than 1 MiB; an item is one line, is it the right file?");
  EXPECT_EQ(refusal(std::string(kMaxBatchLineBytes, 'x')), "no error");
  std::string many;
  for (int64_t i = 0; i < kMaxBatchItems; ++i) many += "x\n";
  EXPECT_EQ(refusal(many), "no error");
  EXPECT_EQ(refusal(many + "\nx"),
            "b.txt:100002: is item 100001, a batch holds 100000 at most; split it");
  EXPECT_EQ(refusal(std::string(kMaxBatchBytes + 1, '\n')),
            "b.txt: is longer than 64 MiB; split it, or is it the wrong file?");
}

TEST(BatchFile, ALineIsItsPromptOrAnObject) {
  EXPECT_EQ(line_values(BatchFormat::kPrompts, "{\"a\": \"b\"}", "b.txt:1").dump(),
            R"({"prompt":"{\"a\": \"b\"}"})");
  EXPECT_EQ(line_values(BatchFormat::kJsonLines, R"( {"seed": 3} )", "b:1").dump(),
            R"({"seed":3})");
  for (const char* bad : {"a red ball", "[1]", "{\"a\":1", "{\"a\":1,\"a\":2}", "{} {}"}) {
    try {
      line_values(BatchFormat::kJsonLines, bad, "b.jsonl:4");
      ADD_FAILURE() << bad;
    } catch (const DataError& error) {
      EXPECT_EQ(std::string(error.what()).find("b.jsonl:4: "), 0U) << error.what();
    }
  }
}

}  // namespace
}  // namespace cogvx::app
