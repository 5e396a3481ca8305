#include "io/resize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/errors.h"
#include "tests/io/io_test_support.h"
#include "tests/io/media_goldens.h"

namespace cogvx::io::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

FrameSize size_of(const nlohmann::json& pair) {
  return {.width = pair.at(0), .height = pair.at(1)};
}

std::vector<std::string> notices_for(FrameSize source, const ResizeTo& target) {
  std::vector<std::string> notices;
  Monitor monitor;
  monitor.on_notice = [&](const std::string& text) { notices.push_back(text); };
  notice_stretch(source, target, monitor);
  return notices;
}

TEST(Resize, EveryModeEqualsPillowByteForByte) {
  ASSERT_GE(media_goldens().at("resizes").size(), 18U);
  for (const nlohmann::json& one : media_goldens().at("resizes")) {
    SCOPED_TRACE(one.at("from").dump() + " to " + one.at("to").dump());
    const FrameSize from = size_of(one.at("from"));
    const FrameSize to = size_of(one.at("to"));
    const Image image = noise(from, static_cast<uint32_t>(from.width * 65536 + from.height));
    for (const auto& [mode, name] :
         {std::pair{ResizeMode::kStretch, "stretch"}, std::pair{ResizeMode::kCrop, "crop"},
          std::pair{ResizeMode::kPad, "pad"}}) {
      const Image resized = resize(image.view(), {.size = to, .mode = mode});
      EXPECT_EQ(resized.size, to) << name;
      EXPECT_EQ(sha256_of(resized.pixels), one.at(name)) << name;
    }
  }
}

TEST(Resize, PadLeavesBlackAroundAndCropLeavesNone) {
  const Frames white = flat_frames(1, {40, 10}, {255, 255, 255});
  const Image padded = resize(white.view()[0], {.size = {20, 20}, .mode = ResizeMode::kPad});
  const auto row = [&](size_t y) { return padded.pixels[y * 60]; };
  EXPECT_EQ(row(6), 0);
  EXPECT_EQ(row(7), 255);
  EXPECT_EQ(row(11), 255);
  EXPECT_EQ(row(12), 0);
  const Image cropped = resize(white.view()[0], {.size = {20, 20}, .mode = ResizeMode::kCrop});
  EXPECT_THAT(cropped.pixels, testing::Each(255));
}

TEST(Resize, StretchThatChangesTheAspectByMoreThanFivePercentIsNoticed) {
  EXPECT_THAT(
      notices_for({1920, 1080}, {.size = {720, 480}}),
      ElementsAre("input of 1920x1080 pixels is stretched to 720x480: the aspect changes by "
                  "18.5 %; --resize-mode crop or pad keeps it"));
  EXPECT_THAT(notices_for({1080, 1920}, {.size = {720, 480}}), testing::SizeIs(1));
  EXPECT_THAT(notices_for({1049, 1000}, {.size = {100, 100}}), IsEmpty());
  EXPECT_THAT(notices_for({1051, 1000}, {.size = {100, 100}}), testing::SizeIs(1));
  EXPECT_THAT(notices_for({1000, 1051}, {.size = {100, 100}}), testing::SizeIs(1));
  EXPECT_THAT(notices_for({1920, 1080}, {.size = {720, 480}, .mode = ResizeMode::kCrop}),
              IsEmpty());
  EXPECT_THAT(notices_for({1920, 1080}, {.size = {720, 480}, .mode = ResizeMode::kPad}), IsEmpty());
}

TEST(Resize, ExtremeAspectsKeepAtLeastOnePixel) {
  const Image tall = noise({1, 1000}, 1);
  EXPECT_EQ(resize(tall.view(), {.size = {720, 480}, .mode = ResizeMode::kCrop}).size,
            (FrameSize{720, 480}));
  EXPECT_EQ(resize(tall.view(), {.size = {64, 3}, .mode = ResizeMode::kPad}).size,
            (FrameSize{64, 3}));
}

TEST(Resize, NoSizeIsAUsageError) {
  const Image image = noise({4, 4}, 1);
  EXPECT_THAT(message_of<UsageError>([&] {
                resize(image.view(), {.size = {0, 4}});
              }),
              HasSubstr("resize to 0x4 pixels: wanted at least 1x1"));
}

}  // namespace
}  // namespace cogvx::io::test
