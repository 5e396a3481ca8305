#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "io/frames.h"

namespace cogvx::io {

// The longest side of a picture or a frame that is read, in pixels.
inline constexpr int kMaxSide = 16384;

enum class PictureFormat { kPng, kJpeg, kWebp };

// What the outer structure of a picture file says; libav is asked for the pixels alone.
struct PictureHeader {
  PictureFormat format = PictureFormat::kPng;
  FrameSize size;       // as stored, before `orientation`
  int orientation = 1;  // 1 to 8 as EXIF counts: from EXIF, else from XMP, else 1
  bool animated = false;
  int jpeg_components = 0;  // 4: CMYK or YCCK
  bool jpeg_adobe = false;  // CMYK is then stored inverted
  size_t end = 0;           // the picture's bytes are [0, end)
};

// Walks through all of a PNG, JPEG or WebP file. DataError that begins with `label`: another
// format, a file that was cut off, a size outside 1x1 to kMaxSide x kMaxSide.
PictureHeader parse_picture_header(std::span<const uint8_t> file, const std::string& label);

}  // namespace cogvx::io
