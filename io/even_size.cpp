#include "io/even_size.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace cogvx::io {
namespace {

int even(int length) { return length + length % 2; }

void repeat_edges(ImageView image, Image& padded) {
  const size_t source_row = size_t{3} * static_cast<size_t>(image.size.width);
  const size_t target_row = size_t{3} * static_cast<size_t>(padded.size.width);
  for (int y = 0; y < padded.size.height; ++y) {
    const uint8_t* source =
        image.pixels + static_cast<size_t>(std::min(y, image.size.height - 1)) * source_row;
    uint8_t* target = padded.pixels.data() + static_cast<size_t>(y) * target_row;
    std::copy_n(source, source_row, target);
    if (target_row > source_row) std::copy_n(source + source_row - 3, 3, target + source_row);
  }
}

}  // namespace

FrameSource with_even_size(FrameSource frames) {
  const FrameSize size{.width = even(frames.size.width), .height = even(frames.size.height)};
  if (size == frames.size) return frames;
  const auto padded =
      std::make_shared<Image>(Image{.pixels = std::vector<uint8_t>(size.bytes()), .size = size});
  return {.count = frames.count, .size = size, .frame = [frames, padded](int index) {
            repeat_edges(frames.frame(index), *padded);
            return padded->view();
          }};
}

}  // namespace cogvx::io
