#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace cogvx::io {

// The Orientation tag, 1 to 8, of the first directory of a TIFF block (what follows "Exif\0\0"), or
// none: a block that makes no sense turns no picture.
std::optional<int> exif_orientation(std::span<const uint8_t> block);
// The same from `tiff:Orientation` of an XMP packet.
std::optional<int> xmp_orientation(std::span<const uint8_t> packet);

}  // namespace cogvx::io
