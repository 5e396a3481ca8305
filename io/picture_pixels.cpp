#include "io/picture_pixels.h"

extern "C" {
#include <libavutil/pixdesc.h>
}

#include <array>
#include <cstring>

#include "io/color_convert.h"
#include "io/yuv_rows.h"

namespace cogvx::io {
namespace {

const AVPixFmtDescriptor& description_of(const AVFrame& frame) {
  return *av_pix_fmt_desc_get(static_cast<AVPixelFormat>(frame.format));
}

bool has_flag(const AVFrame& frame, uint64_t flag) {
  return (description_of(frame).flags & flag) != 0;
}

// The components of grey, RGB and palette formats, line by line, as 8 bits.
class ComponentReader {
 public:
  explicit ComponentReader(const AVFrame& frame)
      : frame_(frame),
        description_(description_of(frame)),
        line_(static_cast<size_t>(frame.width)) {}

  void read(int y, int component, uint8_t* target, size_t stride) {
    const int depth = description_.comp[component].depth;
    read_numbers(y, component);
    for (const uint16_t number : line_) {
      *target = static_cast<uint8_t>(depth > 8 ? number >> (depth - 8)
                                               : number * 255 / ((1 << depth) - 1));
      target += stride;
    }
  }
  void read_palette(int y, uint8_t* rgb, uint8_t* alpha) {
    read_numbers(y, /*component=*/0);
    for (const uint16_t index : line_) {
      uint32_t argb = 0;
      std::memcpy(&argb, frame_.data[1] + size_t{4} * index, sizeof(argb));
      *rgb++ = static_cast<uint8_t>(argb >> 16);
      *rgb++ = static_cast<uint8_t>(argb >> 8);
      *rgb++ = static_cast<uint8_t>(argb);
      *alpha++ = static_cast<uint8_t>(argb >> 24);
    }
  }

 private:
  void read_numbers(int y, int component) {
    const uint8_t* data[4] = {frame_.data[0], frame_.data[1], frame_.data[2], frame_.data[3]};
    av_read_image_line2(line_.data(), data, frame_.linesize, &description_, /*x=*/0, y, component,
                        frame_.width, /*read_pal_component=*/0, sizeof(uint16_t));
  }

  const AVFrame& frame_;
  const AVPixFmtDescriptor& description_;
  std::vector<uint16_t> line_;
};

bool all_opaque(const std::vector<uint8_t>& alpha) {
  for (const uint8_t value : alpha) {
    if (value != 255) return false;
  }
  return true;
}

// Formats whose components lie side by side at full size. Alpha is the last component.
void copy_components(const AVFrame& frame, PicturePixels& pixels) {
  const bool palette = has_flag(frame, AV_PIX_FMT_FLAG_PAL);
  const bool alpha = has_flag(frame, AV_PIX_FMT_FLAG_ALPHA);
  const int components = description_of(frame).nb_components;
  const int colors = palette ? 3 : components - (alpha ? 1 : 0);
  ComponentReader reader(frame);
  std::vector<uint8_t> alpha_line(static_cast<size_t>(frame.width), 255);
  uint8_t* row = pixels.image.pixels.data();
  for (int y = 0; y < frame.height; ++y, row += size_t{3} * static_cast<size_t>(frame.width)) {
    if (palette) {
      reader.read_palette(y, row, alpha_line.data());
    } else {
      for (int c = 0; c < 3; ++c) reader.read(y, colors == 1 ? 0 : c, row + c, /*stride=*/3);
      if (alpha) reader.read(y, components - 1, alpha_line.data(), /*stride=*/1);
    }
    pixels.has_alpha = pixels.has_alpha || !all_opaque(alpha_line);
  }
}

bool is_yuv(const AVFrame& frame) {
  return !has_flag(frame, AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_PAL) &&
         description_of(frame).nb_components >= 3;
}

ChromaPlane chroma_plane(const AVFrame& frame, int index) {
  const AVPixFmtDescriptor& description = description_of(frame);
  return {.data = frame.data[index],
          .stride = frame.linesize[index],
          .width = AV_CEIL_RSHIFT(frame.width, description.log2_chroma_w),
          .height = AV_CEIL_RSHIFT(frame.height, description.log2_chroma_h),
          .shift_x = description.log2_chroma_w,
          .shift_y = description.log2_chroma_h};
}

// 8-bit planes Y, U and V.
void convert_yuv(const AVFrame& frame, const YuvRules& rules, PicturePixels& pixels) {
  const auto width = static_cast<size_t>(frame.width);
  std::vector<uint8_t> u(width);
  std::vector<uint8_t> v(width);
  uint8_t* row = pixels.image.pixels.data();
  for (int y = 0; y < frame.height; ++y, row += 3 * width) {
    rules.upsample(chroma_plane(frame, 1), y, u);
    rules.upsample(chroma_plane(frame, 2), y, v);
    const uint8_t* luma = frame.data[0] + static_cast<ptrdiff_t>(y) * frame.linesize[0];
    for (size_t x = 0; x < width; ++x) rules.to_rgb({luma[x], u[x], v[x]}, row + 3 * x);
  }
}

bool alpha_plane_is_opaque(const AVFrame& frame) {
  for (int y = 0; y < frame.height; ++y) {
    const uint8_t* row = frame.data[3] + static_cast<ptrdiff_t>(y) * frame.linesize[3];
    for (int x = 0; x < frame.width; ++x) {
      if (row[x] != 255) return false;
    }
  }
  return true;
}

// What those libraries decode: 8 bits, and the range that each format has.
bool is_native_yuv(const AVFrame& frame, PictureFormat format) {
  const AVPixFmtDescriptor& description = description_of(frame);
  const bool full = frame.color_range == AVCOL_RANGE_JPEG;
  return has_flag(frame, AV_PIX_FMT_FLAG_PLANAR) && description.comp[0].depth == 8 &&
         (format == PictureFormat::kJpeg ? full : format == PictureFormat::kWebp && !full);
}

}  // namespace

PicturePixels picture_pixels(const AVFrame& frame, PictureFormat format) {
  PicturePixels pixels;
  pixels.image.size = {.width = frame.width, .height = frame.height};
  pixels.image.pixels.resize(pixels.image.size.bytes());
  pixels.was_deep = description_of(frame).comp[0].depth > 8;
  if (!is_yuv(frame)) {
    copy_components(frame, pixels);
    return pixels;
  }
  if (is_native_yuv(frame, format)) {
    convert_yuv(frame, format == PictureFormat::kJpeg ? kJpegRules : kWebpRules, pixels);
  } else {
    RgbDecoder(frame).convert(frame, pixels.image.pixels.data());
  }
  const bool alpha_plane =
      has_flag(frame, AV_PIX_FMT_FLAG_ALPHA) && description_of(frame).comp[3].plane == 3;
  pixels.has_alpha = alpha_plane && !pixels.was_deep && !alpha_plane_is_opaque(frame);
  return pixels;
}

}  // namespace cogvx::io
