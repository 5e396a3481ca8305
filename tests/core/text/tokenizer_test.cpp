#include "core/text/tokenizer.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "core/base/errors.h"
#include "tests/support/test_paths.h"

namespace cogvx {
namespace {

using namespace test;
using nlohmann::json;
using Ids = std::vector<int64_t>;

class TokenizerTest : public testing::Test {
 protected:
  void SetUp() override {
    if (shared_dir().empty()) GTEST_SKIP() << "the developers' shared folder is not here";
    tokenizer_ = std::make_unique<Tokenizer>(shared_dir() / "tokenizer" / "t5");
  }
  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_F(TokenizerTest, IdsAreThoseOfTransformers) {
  std::ifstream file(shared_dir() / "tokenizer" / "t5" / "cases.jsonl");
  int cases = 0;
  for (std::string line; std::getline(file, line); ++cases) {
    const json entry = json::parse(line);
    EXPECT_EQ(tokenizer_->encode(entry.at("text")), entry.at("ids").get<Ids>()) << line;
  }
  EXPECT_EQ(cases, 412);
}

TEST_F(TokenizerTest, StoredPromptsOfTheGoldensGiveTheirIds) {
  for (const char* checkpoint : {"tiny-2b", "tiny-30x16"}) {
    std::ifstream file(source_dir() / "tests" / "goldens" / (std::string(checkpoint) + ".json"));
    const json recipe = json::parse(file);
    for (const json& entry : recipe.at("cases")) {
      if (entry.at("kind") != "text") continue;
      const json& p = entry.at("params");
      const TokenizedPrompt found = tokenizer_->encode_padded(p.at("prompt"), p.at("max_length"));
      std::ifstream stored(source_dir() / "tests" / "goldens" / entry.at("file").get<std::string>(),
                           std::ios::binary);
      const std::string bytes{std::istreambuf_iterator<char>(stored), {}};
      // ids come first in the file or not: its header says where.
      uint64_t length = 0;
      std::memcpy(&length, bytes.data(), sizeof(length));
      const json header = json::parse(bytes.substr(8, length));
      Ids wanted(p.at("max_length").get<size_t>());
      std::memcpy(wanted.data(),
                  bytes.data() + 8 + length + header["ids"]["data_offsets"][0].get<size_t>(),
                  wanted.size() * sizeof(int64_t));
      EXPECT_EQ(found.ids, wanted) << entry.at("name");
    }
  }
}

TEST_F(TokenizerTest, AShortPromptIsPaddedWithZeros) {
  EXPECT_EQ(tokenizer_->encode_padded("a", 6).ids, (Ids{3, 9, 1, 0, 0, 0}));
  EXPECT_EQ(tokenizer_->encode_padded("", 3).ids, (Ids{1, 0, 0}));
  EXPECT_TRUE(tokenizer_->encode_padded("a", 6).cut_text.empty());
}

TEST_F(TokenizerTest, ALongPromptIsCutSoThatItsEndStaysLast) {
  const std::string text = "one two three four five six seven";
  const Ids whole = tokenizer_->encode(text);
  ASSERT_GT(whole.size(), 6U);
  const TokenizedPrompt cut = tokenizer_->encode_padded(text, 5);
  ASSERT_EQ(cut.ids.size(), 5U);
  EXPECT_EQ(Ids(cut.ids.begin(), cut.ids.end() - 1), Ids(whole.begin(), whole.begin() + 4));
  EXPECT_EQ(cut.ids.back(), 1);
  EXPECT_EQ(cut.cut_text, "five six seven");
  // A prompt that just fits loses nothing.
  const TokenizedPrompt fits = tokenizer_->encode_padded(text, static_cast<int64_t>(whole.size()));
  EXPECT_EQ(fits.ids, whole);
  EXPECT_TRUE(fits.cut_text.empty());
}

TEST_F(TokenizerTest, LiteralSpecialTokensAreSplitOff) {
  EXPECT_EQ(tokenizer_->encode("</s>"), (Ids{1, 1}));
  EXPECT_EQ(tokenizer_->encode("<pad>").front(), 0);
  EXPECT_EQ(tokenizer_->encode("<extra_id_0>").front(), 32099);
  EXPECT_EQ(tokenizer_->encode("<extra_id_99>").front(), 32000);
  EXPECT_GT(tokenizer_->encode("<extra_id_100>").size(), 3U) << "there is no such token";
}

TEST_F(TokenizerTest, TextThatIsNotUtf8IsAUsageError) {
  for (const char* text : {"\xff", "a\x80", "\xc3", "\xe2\x82", "\xc0\xaf", "\xed\xa0\x80",
                           "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80"}) {
    EXPECT_THROW(tokenizer_->encode(text), UsageError);
  }
  EXPECT_NO_THROW(tokenizer_->encode("\xf0\x9f\x8e\x88 \xc3\xa9"));
}

TEST(Tokenizer, AMissingOrBrokenModelIsADataError) {
  const TemporaryFolder folder;
  EXPECT_THROW(Tokenizer(folder.path()), DataError);
  std::ofstream(folder / "spiece.model") << "not a model";
  EXPECT_THROW(Tokenizer(folder.path()), DataError);
}

}  // namespace
}  // namespace cogvx
