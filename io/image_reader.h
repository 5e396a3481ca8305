#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/base/monitor.h"
#include "io/frames.h"

namespace cogvx::io {

// A PNG, JPEG or WebP file as RGB24, upright by its EXIF (or XMP) orientation: what diffusers'
// `load_image` gives, byte for byte for PNG and WebP; libav's JPEG differs from libjpeg-turbo's in
// about 5 % of the bytes, by at most 3 levels. With a notice: alpha is dropped and leaves the
// colours stored beneath it, as there; of 16 bits a channel the upper 8 are taken (Pillow saturates
// 16-bit grey instead); CMYK becomes RGB without a colour profile; of an animated PNG the first
// picture is taken. Grey and palettes, which lose nothing, without one. DataError: another format,
// animated WebP, a side above kMaxSide, a file cut off or damaged.
Image read_image(const std::filesystem::path& path, const Monitor& monitor = {});

struct DecodedImage {
  Image image;
  std::vector<std::string> notices;  // without the path
};
DecodedImage decode_image(const std::filesystem::path& path);

// The size that `decode_image` would give.
FrameSize read_image_size(const std::filesystem::path& path);

}  // namespace cogvx::io
