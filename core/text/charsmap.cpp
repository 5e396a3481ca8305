#include "core/text/charsmap.h"

#include <cstdint>
#include <cstring>
#include <optional>

#include "core/base/errors.h"

// Sources: sentencepiece's sentencepiece_model.proto (ModelProto, NormalizerSpec), normalizer.cc
// (DecodePrecompiledCharsMap) and third_party/darts_clone/darts.h (DoubleArrayUnit).
namespace cogvx {
namespace {

// Reads protobuf's wire format from the front of a text; nothing where it is broken.
struct Field {
  uint64_t number = 0;
  std::string_view bytes;  // of a length-delimited field
};

std::optional<uint64_t> take_varint(std::string_view& text) {
  uint64_t value = 0;
  for (int shift = 0; shift < 64 && !text.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(text.front());
    text.remove_prefix(1);
    value |= static_cast<uint64_t>(byte & 0x7fU) << shift;
    if (byte < 0x80) return value;
  }
  return std::nullopt;
}

std::optional<Field> take_field(std::string_view& text) {
  const std::optional<uint64_t> tag = take_varint(text);
  if (!tag) return std::nullopt;
  Field field{.number = *tag >> 3};
  uint64_t size = 0;
  switch (*tag & 7U) {
    case 0:
      if (!take_varint(text)) return std::nullopt;
      return field;
    case 1:
      size = 8;
      break;
    case 2: {
      const std::optional<uint64_t> length = take_varint(text);
      if (!length) return std::nullopt;
      size = *length;
      break;
    }
    case 5:
      size = 4;
      break;
    default:
      return std::nullopt;
  }
  if (size > text.size()) return std::nullopt;
  field.bytes = text.substr(0, size);
  text.remove_prefix(size);
  return field;
}

// Calls visit(bytes) for every field of this number; false where the text is broken.
template <typename Visit>
bool for_each_field(std::string_view text, uint64_t number, const Visit& visit) {
  while (!text.empty()) {
    const std::optional<Field> field = take_field(text);
    if (!field || (field->number == number && !visit(field->bytes))) return false;
  }
  return true;
}

uint32_t unit_at(std::string_view trie, uint64_t index) {
  uint32_t unit = 0;
  std::memcpy(&unit, trie.data() + index * sizeof(unit), sizeof(unit));
  return unit;
}

// A charsmap is the length of a double-array trie, the trie, and texts that each end with a NUL.
bool charsmap_is_sound(std::string_view map) {
  uint32_t trie_bytes = 0;
  if (map.empty()) return true;
  if (map.size() < sizeof(trie_bytes)) return false;
  std::memcpy(&trie_bytes, map.data(), sizeof(trie_bytes));
  map.remove_prefix(sizeof(trie_bytes));
  if (trie_bytes % sizeof(uint32_t) != 0 || trie_bytes >= map.size() || map.back() != '\0')
    return false;
  const std::string_view trie = map.substr(0, trie_bytes);
  const uint64_t units = trie_bytes / sizeof(uint32_t), text_bytes = map.size() - trie_bytes;
  for (uint64_t i = 0; i < units; ++i) {
    constexpr uint32_t kIsLeaf = 1U << 31, kHasLeaf = 1U << 8, kFarOffset = 1U << 9;
    const uint32_t unit = unit_at(trie, i);
    if ((unit & kIsLeaf) != 0) continue;
    // A search goes on to this unit, and from it to any that differs in the last byte.
    const uint64_t next = i ^ ((unit >> 10) << ((unit & kFarOffset) != 0 ? 8 : 0));
    if ((next | 0xffU) >= units) return false;
    if ((unit & kHasLeaf) != 0 && (unit_at(trie, next) & ~kIsLeaf) >= text_bytes) return false;
  }
  return units > 0;
}

}  // namespace

void check_charsmaps(std::string_view model, const std::string& label) {
  constexpr uint64_t kNormalizer = 3, kDenormalizer = 5, kPrecompiledCharsmap = 2;
  const auto spec_is_sound = [](std::string_view spec) {
    return for_each_field(spec, kPrecompiledCharsmap, charsmap_is_sound);
  };
  if (for_each_field(model, kNormalizer, spec_is_sound) &&
      for_each_field(model, kDenormalizer, spec_is_sound))
    return;
  throw DataError(label + ": its normalisation rules are broken; is the file damaged?");
}

}  // namespace cogvx
