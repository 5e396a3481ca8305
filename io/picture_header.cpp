#include "io/picture_header.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "core/base/errors.h"
#include "io/byte_view.h"
#include "io/exif.h"

namespace cogvx::io {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kExif = "Exif\0\0"sv;

[[noreturn]] void throw_cut_off(const std::string& label, const char* format) {
  throw DataError(label + ": " + format +
                  " cut off or damaged: its end is missing; copy or make the file again");
}

class Parser {
 public:
  Parser(ByteView file, const std::string& label) : file_(file), label_(label) {}

  PictureHeader parse() {
    if (file_.has_text(0, "\x89PNG\r\n\x1a\n"sv)) {
      parse_png();
    } else if (file_.has_text(0, "\xff\xd8\xff"sv)) {
      parse_jpeg();
    } else if (file_.has_text(0, "RIFF"sv) && file_.has_text(8, "WEBP"sv)) {
      parse_webp();
    } else {
      throw DataError(label_ + ": no PNG, JPEG or WebP picture (" +
                      std::to_string(file_.bytes.size()) + " bytes); convert it to one of these");
    }
    check_size();
    header_.size = {.width = static_cast<int>(width_), .height = static_cast<int>(height_)};
    header_.orientation = exif_.value_or(xmp_.value_or(1));
    return header_;
  }

 private:
  void parse_png();
  void parse_jpeg();
  void parse_webp();
  void take_png_chunk(std::string_view type, size_t data, size_t length);
  void take_jpeg_segment(uint8_t marker, size_t data, size_t length);
  void take_webp_chunk(std::string_view type, size_t data, size_t length);
  size_t next_jpeg_marker(size_t at) const;
  size_t after_jpeg_scan(size_t at) const;
  void check_size() const;

  void take_exif(std::span<const uint8_t> block) {
    if (!exif_) exif_ = exif_orientation(block);
  }
  void take_xmp(std::span<const uint8_t> packet) {
    if (!xmp_) xmp_ = xmp_orientation(packet);
  }
  std::string_view text(size_t offset, size_t count) const {
    return {reinterpret_cast<const char*>(file_.bytes.data()) + offset, count};
  }
  // The first one counts: a picture's own, not that of something inside it.
  void take_size(uint32_t width, uint32_t height) {
    if (has_size_) return;
    has_size_ = true;
    width_ = width;
    height_ = height;
  }

  ByteView file_;
  const std::string& label_;
  PictureHeader header_;
  bool has_size_ = false;
  uint32_t width_ = 0;
  uint32_t height_ = 0;
  std::optional<int> exif_;
  std::optional<int> xmp_;
};

void Parser::parse_png() {
  constexpr size_t kAround = 12;  // length, type and checksum
  header_.format = PictureFormat::kPng;
  size_t at = 8;
  while (true) {
    if (!file_.holds(at, kAround)) throw_cut_off(label_, "PNG");
    const size_t length = file_.u32(at);
    if (!file_.holds(at + kAround, length)) throw_cut_off(label_, "PNG");
    const std::string_view type = text(at + 4, 4);
    take_png_chunk(type, at + 8, length);
    at += kAround + length;
    if (type == "IEND"sv) break;
  }
  header_.end = at;
}

void Parser::take_png_chunk(std::string_view type, size_t data, size_t length) {
  constexpr std::string_view kXmp = "XML:com.adobe.xmp\0"sv;
  if (type == "IHDR"sv && length >= 8) take_size(file_.u32(data), file_.u32(data + 4));
  if (type == "acTL"sv) header_.animated = true;
  if (type == "eXIf"sv) take_exif(file_.bytes.subspan(data, length));
  if (type == "iTXt"sv && text(data, length).starts_with(kXmp))
    take_xmp(file_.bytes.subspan(data, length));
}

// Where the code of the next marker stands; bytes that belong to none are passed over.
size_t Parser::next_jpeg_marker(size_t at) const {
  while (file_.holds(at, 2)) {
    if (file_.u8(at) == 0xff && file_.u8(at + 1) != 0xff && file_.u8(at + 1) != 0) return at + 1;
    ++at;
  }
  throw_cut_off(label_, "JPEG");
}

bool is_restart(uint8_t marker) { return marker >= 0xd0 && marker <= 0xd7; }

// Where the marker that ends the coded data begins.
size_t Parser::after_jpeg_scan(size_t at) const {
  while (true) {
    const size_t code = next_jpeg_marker(at);
    if (!is_restart(file_.u8(code))) return code - 1;
    at = code + 1;
  }
}

void Parser::parse_jpeg() {
  constexpr uint8_t kEnd = 0xd9;
  constexpr uint8_t kScan = 0xda;
  header_.format = PictureFormat::kJpeg;
  size_t at = 2;
  while (true) {
    const size_t code = next_jpeg_marker(at);
    const uint8_t marker = file_.u8(code);
    at = code + 1;
    if (marker == kEnd) break;
    if (is_restart(marker) || marker == 1) continue;
    const size_t length = file_.holds(at, 2) ? file_.u16(at) : 0;
    if (length < 2 || !file_.holds(at, length)) throw_cut_off(label_, "JPEG");
    take_jpeg_segment(marker, at + 2, length - 2);
    at += length;
    if (marker == kScan) at = after_jpeg_scan(at);
  }
  header_.end = at;
}

void Parser::take_jpeg_segment(uint8_t marker, size_t data, size_t length) {
  constexpr std::string_view kXmp = "http://ns.adobe.com/xap/1.0/\0"sv;
  const std::string_view content = text(data, length);
  const auto after = [&](std::string_view name) {
    return file_.bytes.subspan(data + name.size(), length - name.size());
  };
  const bool starts_frame =
      marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
  if (starts_frame && length >= 6 && !has_size_) {
    take_size(file_.u16(data + 3), file_.u16(data + 1));
    header_.jpeg_components = file_.u8(data + 5);
  }
  if (marker == 0xe1 && content.starts_with(kExif)) take_exif(after(kExif));
  if (marker == 0xe1 && content.starts_with(kXmp)) take_xmp(after(kXmp));
  if (marker == 0xee && content.starts_with("Adobe"sv)) header_.jpeg_adobe = true;
}

void Parser::parse_webp() {
  constexpr size_t kHead = 8;  // a chunk's type and length
  header_.format = PictureFormat::kWebp;
  file_.little_endian = true;
  const size_t riff = file_.u32(4);
  if (!file_.holds(kHead, riff)) throw_cut_off(label_, "WebP");
  header_.end = kHead + riff;
  size_t at = kHead + 4;
  while (at + kHead <= header_.end) {
    const size_t length = file_.u32(at + 4);
    if (length > header_.end - at - kHead) throw_cut_off(label_, "WebP");
    take_webp_chunk(text(at, 4), at + kHead, length);
    at += kHead + length + length % 2;
  }
}

void Parser::take_webp_chunk(std::string_view type, size_t data, size_t length) {
  if (type == "VP8X"sv && length >= 10) {
    constexpr uint8_t kAnimation = 2;
    header_.animated = (file_.u8(data) & kAnimation) != 0;
    take_size(file_.u24(data + 4) + 1, file_.u24(data + 7) + 1);
  }
  if (type == "VP8 "sv && length >= 10) {
    take_size(file_.u16(data + 6) & 0x3fff, file_.u16(data + 8) & 0x3fff);
  }
  if (type == "VP8L"sv && length >= 5) {
    const uint32_t sides = file_.u32(data + 1);
    take_size((sides & 0x3fff) + 1, (sides >> 14 & 0x3fff) + 1);
  }
  if (type == "EXIF"sv) {
    const size_t name = text(data, length).starts_with(kExif) ? kExif.size() : 0;
    take_exif(file_.bytes.subspan(data + name, length - name));
  }
  if (type == "XMP "sv) take_xmp(file_.bytes.subspan(data, length));
}

void Parser::check_size() const {
  constexpr uint32_t kMax = kMaxSide;
  if (!has_size_) throw DataError(label_ + ": no picture in the file; make the file again");
  if (width_ >= 1 && width_ <= kMax && height_ >= 1 && height_ <= kMax) return;
  const std::string limit = std::to_string(kMaxSide);
  throw DataError(label_ + ": picture of " + std::to_string(width_) + "x" +
                  std::to_string(height_) + " pixels, wanted 1x1 to " + limit + "x" + limit +
                  "; scale it first");
}

}  // namespace

PictureHeader parse_picture_header(std::span<const uint8_t> file, const std::string& label) {
  return Parser(ByteView{.bytes = file}, label).parse();
}

}  // namespace cogvx::io
