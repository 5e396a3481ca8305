#include "io/even_size.h"

#include <gtest/gtest.h>

namespace cogvx::io::test {
namespace {

FrameSource source_of(const Frames& frames) {
  return {.count = frames.count, .size = frames.size, .frame = [&frames](int index) {
            return frames.view()[index];
          }};
}

TEST(EvenSize, RepeatsTheLastColumnAndRowOnce) {
  const Frames frames{
      .pixels = {1, 2, 3, 4, 5, 6, 7, 8, 9}, .count = 1, .size = {.width = 3, .height = 1}};
  const FrameSource even = with_even_size(source_of(frames));
  ASSERT_EQ(even.size, (FrameSize{.width = 4, .height = 2}));
  const std::vector<uint8_t> row{1, 2, 3, 4, 5, 6, 7, 8, 9, 7, 8, 9};
  const ImageView image = even.frame(0);
  EXPECT_EQ(std::vector<uint8_t>(image.pixels, image.pixels + 12), row);
  EXPECT_EQ(std::vector<uint8_t>(image.pixels + 12, image.pixels + 24), row);
}

TEST(EvenSize, LeavesEvenFramesWhereTheyAre) {
  const Frames frames{.pixels = std::vector<uint8_t>(24), .count = 2, .size = {2, 2}};
  const FrameSource even = with_even_size(source_of(frames));
  EXPECT_EQ(even.frame(1).pixels, frames.pixels.data() + 12);
}

}  // namespace
}  // namespace cogvx::io::test
