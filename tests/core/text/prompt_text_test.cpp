#include "core/text/prompt_text.h"

#include <gtest/gtest.h>

#include "core/base/errors.h"

namespace cogvx {
namespace {

TEST(PromptText, OnlyWholeUtf8WithoutNulIsAPrompt) {
  for (const char* good : {"", "a cat", "caf\xc3\xa9", "\xe7\xba\xa2", "\xf0\x9f\x98\x80"})
    EXPECT_NO_THROW(check_prompt(good, "p")) << good;
  for (const char* bad : {"\x80", "caf\xc3", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80",
                          "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "a\xff"})
    EXPECT_THROW(check_prompt(bad, "p"), UsageError) << bad;
  const std::string nul("a\0b", 3);
  EXPECT_THROW(check_prompt(nul, "p"), UsageError);
  EXPECT_NO_THROW(check_utf8(nul, "p"));
}

TEST(PromptText, BlankIsSpacesOfEveryKindAndNothingElse) {
  for (const char* blank : {" ", "\t\n ", "\u3000", "\u00a0\u200b"}) EXPECT_TRUE(is_blank(blank));
  for (const char* text : {"", "a", " . ", "\u3001"}) EXPECT_FALSE(is_blank(text)) << text;
}

TEST(PromptText, NonLatinNeedsMoreLettersOfOtherScriptsThanLatinOnes) {
  for (const char* other :
       {"красный круг", "红色圆圈", "دائرة حمراء", "빨간 원", "赤い circle が動く空へ"})
    EXPECT_TRUE(is_mostly_non_latin(other)) << other;
  for (const char* latin : {"", "a red circle", "Ein größerer Fuß", "ｗｉｄｅ ｌｅｔｔｅｒｓ",
                            "123 !?", "a cat 😀😀😀😀😀😀", "“quotes” — and dashes…", "the word 红"})
    EXPECT_FALSE(is_mostly_non_latin(latin)) << latin;
}

TEST(PromptText, AnExcerptEndsBetweenLetters) {
  EXPECT_EQ(excerpt("short", 5), "short");
  EXPECT_EQ(excerpt("a long one", 6), "a long... (4 bytes more)");
  EXPECT_EQ(excerpt("caf\xc3\xa9!", 4), "caf... (3 bytes more)");
}

}  // namespace
}  // namespace cogvx
