#include "app/output_names.h"

#include <gtest/gtest.h>

#include <climits>

#include "core/base/errors.h"

namespace cogvx::app {
namespace {

std::string name(const std::string& pattern, const std::string& prompt = "A red ball!") {
  return expand_name(pattern, {.index = 7, .count = 120, .seed = 43, .prompt = prompt}, "--output");
}

std::string refusal(const std::string& pattern) {
  try {
    return "no error, but " + name(pattern);
  } catch (const UsageError& error) {
    return error.what();
  }
}

std::string times(const std::string& text, int count) {
  std::string all;
  for (int i = 0; i < count; ++i) all += text;
  return all;
}

TEST(OutputNames, ValuesTakeTheirPlaces) {
  EXPECT_EQ(name("{index}-{slug}.mp4"), "007-a-red-ball.mp4");
  EXPECT_EQ(name("out/{seed}/{slug}/{index}.mkv"), "out/43/a-red-ball/007.mkv");
  EXPECT_EQ(name("plain.mp4"), "plain.mp4");
  EXPECT_EQ(name("{{index}}-{{{seed}}}.mp4"), "{index}-{43}.mp4");
}

TEST(OutputNames, ValuesAreNoTemplates) {
  EXPECT_EQ(name("{slug}.mp4", "{index} {seed}"), "index-seed.mp4");
  EXPECT_EQ(name("{slug}-{seed}.mp4", "{{seed}}"), "seed-43.mp4");
}

TEST(OutputNames, UnknownNamesAndLonelyBracesAreRefused) {
  EXPECT_EQ(refusal("{indx}.mp4"),
            "--output is '{indx}.mp4': '{indx}' is unknown; it takes {index}, {seed} and {slug}, "
            "and {{ for a brace");
  for (const char* pattern : {"{", "}", "a{index", "index}.mp4", "{}", "{in{dex}}", "{ index }"})
    EXPECT_NE(refusal(pattern).find("it takes {index}, {seed} and {slug}"), std::string::npos)
        << refusal(pattern);
  EXPECT_TRUE(name_uses("a-{seed}.mp4", "seed"));
  EXPECT_FALSE(name_uses("a-{{seed}}.mp4", "seed"));
  EXPECT_FALSE(name_uses("a-{seed", "seed"));
}

TEST(OutputNames, ASlugIsAPartOfAFileNameWhateverThePrompt) {
  EXPECT_EQ(slug_of("  A Red  ball, rolling/bouncing... ", 80), "a-red-ball-rolling-bouncing");
  EXPECT_EQ(slug_of("../../etc/passwd", 80), "etc-passwd");
  EXPECT_EQ(slug_of(".-hidden-.", 80), "hidden");
  EXPECT_EQ(slug_of("ÄRGER über Größe 5", 80), "ärger-über-größe-5");
  EXPECT_EQ(slug_of("一只熊 跑", 80), "一只熊-跑");
  EXPECT_EQ(slug_of("МЕДВЕДЬ\n\tбежит", 80), "медведь-бежит");
  for (const std::string prompt : {"", "   ", "...", "/", "\xff\xfe", "🎈🎈", "--"})
    EXPECT_EQ(slug_of(prompt, 80), "video") << prompt;
  EXPECT_EQ(slug_of("a\xff\xc0\xaf"
                    "b\xe4\xb8",
                    80),
            "a-b");
  EXPECT_EQ(slug_of(std::string("a\0b", 3), 80), "a-b");
}

TEST(OutputNames, ASlugIsCutBetweenLetters) {
  for (size_t most = 1; most < 30; ++most) {
    const std::string slug = slug_of("äöü 一只熊 🎈 straße", most);
    EXPECT_LE(slug.size(), most);
    EXPECT_FALSE(slug.ends_with('-')) << slug;
    EXPECT_EQ(slug_of(slug, most), slug);
  }
  EXPECT_EQ(slug_of("äöü", 5), "äö");
  EXPECT_EQ(slug_of("ab cd", 3), "ab");
}

TEST(OutputNames, ALongPromptLeavesRoomForTheFilesBesideTheVideo) {
  for (const std::string& pattern :
       {std::string("{slug}.mp4"), "d/" + times("x", 190) + "{slug}.mp4",
        std::string("{slug}-{slug}-{slug}-{slug}.mp4")}) {
    const std::string file = name(pattern, times("一只熊 ", 200));
    const std::string stem =
        file.substr(file.rfind('/') + 1, file.rfind('.') - file.rfind('/') - 1);
    EXPECT_LE(("." + stem + ".latents.safetensors.tmp-4194304-100").size(), size_t{NAME_MAX})
        << file;
  }
}

}  // namespace
}  // namespace cogvx::app
