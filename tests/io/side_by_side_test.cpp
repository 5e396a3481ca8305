#include "io/side_by_side.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "io/video_info.h"
#include "tests/io/io_test_support.h"
#include "tests/support/test_paths.h"

namespace cogvx::io::test {
namespace {

using cogvx::test::TemporaryFolder;

// Every pair of bytes stands in one of its colours.
struct Pair {
  Frames reference, test;
};
Pair every_pair() {
  Pair pair{.reference = flat_frames(1, {.width = 256, .height = 256}, {0, 0, 0}), .test = {}};
  pair.test = pair.reference;
  for (size_t i = 0; i < size_t{256} * 256; ++i) {
    for (size_t colour = 0; colour < 3; ++colour) {
      pair.reference.pixels[3 * i + colour] = static_cast<uint8_t>(i / 256 + 85 * colour);
      pair.test.pixels[3 * i + colour] = static_cast<uint8_t>(i % 256 + 31 * colour);
    }
  }
  return pair;
}

uint8_t amplified(uint8_t reference, uint8_t test, int gain) {
  return static_cast<uint8_t>(std::min(255, std::abs(reference - test) * gain));
}

// What `side_by_side` promises, in plain loops.
Image plain_side_by_side(ImageView reference, const std::vector<ImageView>& tests, int gain) {
  const size_t row = size_t{3} * static_cast<size_t>(reference.size.width);
  Image image{.pixels = {},
              .size = {.width = 3 * reference.size.width,
                       .height = reference.size.height * static_cast<int>(tests.size())}};
  for (const ImageView test : tests) {
    for (size_t at = 0; at < reference.size.bytes(); at += row) {
      const uint8_t *left = reference.pixels + at, *right = test.pixels + at;
      image.pixels.insert(image.pixels.end(), left, left + row);
      image.pixels.insert(image.pixels.end(), right, right + row);
      for (size_t i = 0; i < row; ++i) image.pixels.push_back(amplified(left[i], right[i], gain));
    }
  }
  return image;
}

std::vector<uint8_t> bytes_of(ImageView image) {
  return {image.pixels, image.pixels + image.size.bytes()};
}

TEST(SideBySide, TheDifferenceIsThatOfPlainArithmeticForEveryPairOfBytes) {
  const Pair pair = every_pair();
  const FrameSize size = pair.reference.size;
  for (const int gain : {1, 2, 8, 64}) {
    PictureFilter filter = PictureFilter::amplified_difference(size, gain);
    const std::array pictures{pair.reference.view()[0], pair.test.view()[0]};
    std::vector<uint8_t> wanted(size.bytes());
    for (size_t i = 0; i < wanted.size(); ++i)
      wanted[i] = amplified(pair.reference.pixels[i], pair.test.pixels[i], gain);
    EXPECT_EQ(bytes_of(filter.run(pictures)), wanted) << "times " << gain;
  }
}

TEST(SideBySide, EveryFrameIsComposedByteForByteAtOddSizesToo) {
  for (const FrameSize size : {FrameSize{.width = 96, .height = 64}, FrameSize{97, 65},
                               FrameSize{3, 1}, FrameSize{1, 5}}) {
    const Frames reference = moving_frames(4, size);
    const Frames black = flat_frames(4, size, {0, 0, 0}), grey = flat_frames(4, size, {90, 99, 7});
    const std::vector<const Frames*> all{&black, &grey, &reference};
    for (size_t count = 1; count <= all.size(); ++count) {
      PictureFilter filter = PictureFilter::side_by_side(size, static_cast<int>(count), 4);
      for (int f = 0; f < reference.count; ++f) {
        std::vector<ImageView> pictures{reference.view()[f]};
        for (size_t i = 0; i < count; ++i) pictures.push_back(all[i]->view()[f]);
        const std::vector<ImageView> tests(pictures.begin() + 1, pictures.end());
        const Image wanted = plain_side_by_side(pictures[0], tests, 4);
        const ImageView made = filter.run(pictures);
        ASSERT_EQ(made.size, wanted.size);
        ASSERT_EQ(bytes_of(made), wanted.pixels)
            << size.width << "x" << size.height << ", " << count << " tests, frame " << f;
      }
    }
  }
}

TEST(SideBySide, AVideoWithoutLossHoldsEveryByte) {
  const TemporaryFolder folder;
  const FrameSize size{.width = 98, .height = 65};
  const Frames reference = moving_frames(5, size), test = flat_frames(5, size, {50, 60, 70});
  // Two rows of green above.
  const Frames header = flat_frames(1, {.width = 3 * size.width, .height = 2}, {0, 200, 0});
  encode_side_by_side(folder / "a.mkv",
                      {.reference = reference.view(),
                       .tests = {test.view(), reference.view()},
                       .gain = 2,
                       .header = {.pixels = header.pixels, .size = header.size}},
                      {.codec = VideoCodec::kFfv1})
      .commit();
  const Frames read = read_video_frames(folder / "a.mkv");
  ASSERT_EQ(read.count, 5);
  for (int f = 0; f < read.count; ++f) {
    Image wanted =
        plain_side_by_side(reference.view()[f], {test.view()[f], reference.view()[f]}, 2);
    wanted.pixels.insert(wanted.pixels.begin(), header.pixels.begin(), header.pixels.end());
    wanted.size.height += 2;
    ASSERT_EQ(read.size, wanted.size);
    ASSERT_EQ(bytes_of(read.view()[f]), wanted.pixels) << f;
  }
}

TEST(SideBySide, AnOddVideoInH264GrowsByOneAndKeepsItsRateAndTags) {
  const TemporaryFolder folder;
  const FrameSize size{.width = 33, .height = 21};
  const Frames reference = flat_frames(6, size, {200, 30, 60});
  const Frames test = flat_frames(6, size, {190, 30, 60});
  encode_side_by_side(folder / "a.mp4",
                      {.reference = reference.view(), .tests = {test.view()}, .gain = 8},
                      {.frame_rate = {16, 1}, .metadata = {{"comment", "a word"}}})
      .commit();
  const VideoInfo info = read_video_info(folder / "a.mp4");
  EXPECT_EQ(info.size, (FrameSize{.width = 100, .height = 22}));
  EXPECT_EQ(info.frame_rate, (FrameRate{16, 1}));
  EXPECT_EQ(info.metadata.at("comment"), "a word");
  const Frames read = read_video_frames(folder / "a.mp4");
  // One pixel inside each third; H.264 loses a little.
  const std::array<Color, 3> wanted{Color{200, 30, 60}, Color{190, 30, 60}, Color{80, 0, 0}};
  for (size_t third = 0; third < 3; ++third) {
    const size_t at = 3 * (100 * 10 + 33 * third + 16);
    for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(read.pixels[at + i], wanted[third][i], 4) << third;
  }
}

}  // namespace
}  // namespace cogvx::io::test
