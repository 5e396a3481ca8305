#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace cogvx::io {

// Numbers out of a file's bytes. Ask `holds` first: reading outside is undefined.
struct ByteView {
  std::span<const uint8_t> bytes;
  bool little_endian = false;

  bool holds(size_t offset, size_t count) const {
    return count <= bytes.size() && offset <= bytes.size() - count;
  }
  bool has_text(size_t offset, std::string_view text) const {
    if (!holds(offset, text.size())) return false;
    const auto part = bytes.subspan(offset, text.size());
    return std::string_view(reinterpret_cast<const char*>(part.data()), part.size()) == text;
  }
  uint8_t u8(size_t offset) const { return bytes[offset]; }
  uint32_t u16(size_t offset) const { return number(offset, 2); }
  uint32_t u24(size_t offset) const { return number(offset, 3); }
  uint32_t u32(size_t offset) const { return number(offset, 4); }

 private:
  uint32_t number(size_t offset, size_t count) const {
    uint32_t value = 0;
    for (size_t i = 0; i < count; ++i) {
      value = value << 8 | bytes[offset + (little_endian ? count - 1 - i : i)];
    }
    return value;
  }
};

}  // namespace cogvx::io
