#include "io/resize.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <numbers>
#include <string>
#include <vector>

#include "core/base/errors.h"

namespace cogvx::io {
namespace {

// The size of what Pillow adds up: 8 bits of pixel, 2 of overshoot, the rest for the weight.
constexpr int kWeightBits = 32 - 8 - 2;
constexpr double kLobes = 3;

double sinc(double x) {
  if (x == 0) return 1;
  x *= std::numbers::pi;
  return std::sin(x) / x;
}

double lanczos_filter(double x) {
  return x >= -kLobes && x < kLobes ? sinc(x) * sinc(x / kLobes) : 0;
}

// What one output pixel takes from its row or column.
struct Taps {
  int first = 0;
  std::vector<int32_t> weights;  // fixed point, kWeightBits behind the point
};

int32_t fixed_point(double weight) {
  const double scaled = weight * (1 << kWeightBits);
  return static_cast<int32_t>(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
}

std::vector<Taps> make_taps(int source, int target) {
  const double scale = static_cast<double>(source) / target;
  const double filter_scale = std::max(scale, 1.0);
  const double support = kLobes * filter_scale;
  // A factor and no divisor: they round differently.
  const double inverse = 1.0 / filter_scale;
  std::vector<Taps> taps(static_cast<size_t>(target));
  std::vector<double> weights;
  for (int i = 0; i < target; ++i) {
    const double center = (i + 0.5) * scale;
    const int first = std::max(static_cast<int>(center - support + 0.5), 0);
    const int end = std::min(static_cast<int>(center + support + 0.5), source);
    weights.clear();
    double sum = 0;
    for (int x = 0; x < end - first; ++x) {
      weights.push_back(lanczos_filter((x + first - center + 0.5) * inverse));
      sum += weights.back();
    }
    Taps& own = taps[static_cast<size_t>(i)];
    own.first = first;
    for (const double weight : weights)
      own.weights.push_back(fixed_point(sum != 0 ? weight / sum : weight));
  }
  return taps;
}

// Sums of three channels at `pixel` and every `stride` bytes after it.
void apply(const Taps& taps, const uint8_t* pixel, size_t stride, uint8_t* target) {
  constexpr int32_t kHalf = 1 << (kWeightBits - 1);
  int32_t red = kHalf;
  int32_t green = kHalf;
  int32_t blue = kHalf;
  pixel += static_cast<size_t>(taps.first) * stride;
  for (const int32_t weight : taps.weights) {
    red += weight * pixel[0];
    green += weight * pixel[1];
    blue += weight * pixel[2];
    pixel += stride;
  }
  const auto clipped = [](int32_t sum) {
    return static_cast<uint8_t>(std::clamp(sum >> kWeightBits, 0, 255));
  };
  target[0] = clipped(red);
  target[1] = clipped(green);
  target[2] = clipped(blue);
}

size_t row_bytes(FrameSize size) { return size_t{3} * static_cast<size_t>(size.width); }

Image with_width(ImageView image, int width) {
  Image result;
  result.size = {.width = width, .height = image.size.height};
  result.pixels.resize(result.size.bytes());
  const std::vector<Taps> taps = make_taps(image.size.width, width);
  uint8_t* target = result.pixels.data();
  for (int y = 0; y < image.size.height; ++y) {
    const uint8_t* row = image.pixels + static_cast<size_t>(y) * row_bytes(image.size);
    for (const Taps& own : taps) {
      apply(own, row, /*stride=*/3, target);
      target += 3;
    }
  }
  return result;
}

Image with_height(ImageView image, int height) {
  Image result;
  result.size = {.width = image.size.width, .height = height};
  result.pixels.resize(result.size.bytes());
  uint8_t* target = result.pixels.data();
  for (const Taps& own : make_taps(image.size.height, height)) {
    for (int x = 0; x < image.size.width; ++x) {
      apply(own, image.pixels + 3 * static_cast<size_t>(x), row_bytes(image.size), target);
      target += 3;
    }
  }
  return result;
}

Image copy_of(ImageView image) {
  return {.pixels = {image.pixels, image.pixels + image.size.bytes()}, .size = image.size};
}

// round(a * b / c), at least 1 and at most `limit`.
int scaled_side(int a, int b, int c, int limit) {
  const int64_t twice = 2 * static_cast<int64_t>(a) * b;
  return static_cast<int>(
      std::clamp<int64_t>((twice + c) / (2 * static_cast<int64_t>(c)), 1, limit));
}

bool is_wider(FrameSize a, FrameSize b) {
  return static_cast<int64_t>(a.width) * b.height > static_cast<int64_t>(b.width) * a.height;
}

// Moves `part` of `source`'s size into or out of the middle of another picture.
void copy_middle(ImageView source, Image& target, FrameSize part) {
  const auto offset = [&](FrameSize whole) {
    const int x = (whole.width - part.width) / 2;
    const int y = (whole.height - part.height) / 2;
    return static_cast<size_t>(y) * row_bytes(whole) + 3 * static_cast<size_t>(x);
  };
  const uint8_t* from = source.pixels + offset(source.size);
  uint8_t* to = target.pixels.data() + offset(target.size);
  for (int y = 0; y < part.height; ++y) {
    std::memcpy(to, from, row_bytes(part));
    from += row_bytes(source.size);
    to += row_bytes(target.size);
  }
}

Image cropped(ImageView image, FrameSize target) {
  FrameSize part = image.size;
  if (is_wider(part, target)) {
    part.width = scaled_side(part.height, target.width, target.height, part.width);
  } else {
    part.height = scaled_side(part.width, target.height, target.width, part.height);
  }
  Image middle{.pixels = std::vector<uint8_t>(part.bytes()), .size = part};
  copy_middle(image, middle, part);
  return lanczos(middle.view(), target);
}

Image padded(ImageView image, FrameSize target) {
  FrameSize part = target;
  if (is_wider(image.size, target)) {
    part.height = scaled_side(target.width, image.size.height, image.size.width, target.height);
  } else {
    part.width = scaled_side(target.height, image.size.width, image.size.height, target.width);
  }
  Image result{.pixels = std::vector<uint8_t>(target.bytes()), .size = target};
  copy_middle(lanczos(image, part).view(), result, part);
  return result;
}

std::string text_of(FrameSize size) {
  return std::to_string(size.width) + "x" + std::to_string(size.height);
}

}  // namespace

Image lanczos(ImageView image, FrameSize size) {
  if (image.size == size) return copy_of(image);
  if (image.size.width == size.width) return with_height(image, size.height);
  const Image wide = with_width(image, size.width);
  return image.size.height == size.height ? wide : with_height(wide.view(), size.height);
}

Image resize(ImageView image, const ResizeTo& target) {
  if (target.size.width < 1 || target.size.height < 1) {
    throw UsageError("resize to " + text_of(target.size) + " pixels: wanted at least 1x1");
  }
  switch (target.mode) {
    case ResizeMode::kCrop:
      return cropped(image, target.size);
    case ResizeMode::kPad:
      return padded(image, target.size);
    case ResizeMode::kStretch:
      break;
  }
  return lanczos(image, target.size);
}

void notice_stretch(FrameSize source, const ResizeTo& target, const Monitor& monitor) {
  constexpr double kNoticed = 1.05;
  const double change = static_cast<double>(source.width) * target.size.height /
                        (static_cast<double>(source.height) * target.size.width);
  const double factor = std::max(change, 1 / change);
  if (target.mode != ResizeMode::kStretch || factor <= kNoticed) return;
  char percent[32];
  std::snprintf(percent, sizeof(percent), "%.1f", (factor - 1) * 100);
  monitor.notice("input of " + text_of(source) + " pixels is stretched to " + text_of(target.size) +
                 ": the aspect changes by " + percent + " %; --resize-mode crop or pad keeps it");
}

}  // namespace cogvx::io
