#include "io/exif.h"

#include <string_view>

#include "io/byte_view.h"

namespace cogvx::io {
namespace {

constexpr uint32_t kOrientationTag = 0x0112;
constexpr size_t kEntryBytes = 12;

std::optional<int> checked(uint32_t orientation) {
  if (orientation < 1 || orientation > 8) return {};
  return static_cast<int>(orientation);
}

// The number of an entry that holds one BYTE, SHORT or LONG.
std::optional<int> entry_value(const ByteView& block, size_t entry) {
  constexpr uint32_t kByte = 1;
  constexpr uint32_t kShort = 3;
  constexpr uint32_t kLong = 4;
  const uint32_t type = block.u16(entry + 2);
  const size_t value = entry + 8;
  if (block.u32(entry + 4) != 1) return {};
  if (type == kByte) return checked(block.u8(value));
  if (type == kShort) return checked(block.u16(value));
  if (type == kLong) return checked(block.u32(value));
  return {};
}

}  // namespace

std::optional<int> exif_orientation(std::span<const uint8_t> bytes) {
  ByteView block{.bytes = bytes};
  constexpr size_t kHeaderBytes = 8;
  if (!block.holds(0, kHeaderBytes)) return {};
  block.little_endian = block.has_text(0, "II");
  if (!block.little_endian && !block.has_text(0, "MM")) return {};
  if (block.u16(2) != 42) return {};
  const size_t directory = block.u32(4);
  if (!block.holds(directory, 2)) return {};
  const uint32_t count = block.u16(directory);
  for (uint32_t i = 0; i < count; ++i) {
    const size_t entry = directory + 2 + i * kEntryBytes;
    if (!block.holds(entry, kEntryBytes)) return {};
    if (block.u16(entry) == kOrientationTag) return entry_value(block, entry);
  }
  return {};
}

std::optional<int> xmp_orientation(std::span<const uint8_t> packet) {
  const std::string_view text(reinterpret_cast<const char*>(packet.data()), packet.size());
  constexpr std::string_view kName = "tiff:Orientation";
  // As an attribute, or as an element.
  for (const std::string_view opening : {"=\"", ">"}) {
    for (size_t at = text.find(kName); at != text.npos; at = text.find(kName, at + 1)) {
      const std::string_view rest = text.substr(at + kName.size());
      if (!rest.starts_with(opening) || rest.size() == opening.size()) continue;
      return checked(static_cast<uint8_t>(rest[opening.size()]) - uint32_t{'0'});
    }
  }
  return {};
}

}  // namespace cogvx::io
