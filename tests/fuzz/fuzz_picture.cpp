// Any bytes as a PNG, JPEG or WebP file's structure, as an EXIF block and as an XMP packet.
#include "io/exif.h"
#include "io/picture_header.h"
#include "tests/fuzz/fuzz_support.h"

using namespace cogvx;

namespace {

bool is_orientation(int value) { return value >= 1 && value <= 8; }

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const uint8_t> file(data, size);
  fuzz::require(is_orientation(io::exif_orientation(file).value_or(1)),
                "EXIF orientation is 1 to 8");
  fuzz::require(is_orientation(io::xmp_orientation(file).value_or(1)), "XMP orientation is 1 to 8");
  fuzz::parses([&] {
    const io::PictureHeader header = io::parse_picture_header(file, "input");
    const auto side_is_legal = [](int side) { return side >= 1 && side <= io::kMaxSide; };
    fuzz::require(side_is_legal(header.size.width) && side_is_legal(header.size.height),
                  "size is 1x1 to the largest");
    fuzz::require(is_orientation(header.orientation), "orientation is 1 to 8");
    fuzz::require(header.end <= size, "the picture ends inside the file");
    // Nothing behind the end is looked at.
    const io::PictureHeader again = io::parse_picture_header(file.first(header.end), "input");
    fuzz::require(again.end == header.end && again.size == header.size,
                  "the part up to the end is the same picture");
  });
  return 0;
}
