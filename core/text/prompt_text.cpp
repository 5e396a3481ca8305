#include "core/text/prompt_text.h"

#include <algorithm>
#include <cstdint>

#include "core/base/errors.h"

namespace cogvx {
namespace {

struct CodePoint {
  uint32_t value = 0;
  size_t bytes = 0;  // 0: not UTF-8
};

CodePoint code_point_at(std::string_view text, size_t i) {
  const auto lead = static_cast<unsigned char>(text[i]);
  const size_t length = lead < 0x80       ? 1
                        : lead >> 5 == 6  ? 2
                        : lead >> 4 == 14 ? 3
                        : lead >> 3 == 30 ? 4
                                          : 0;
  if (length == 0 || i + length > text.size()) return {};
  uint32_t code = length == 1 ? lead : lead & (0x7fU >> length);
  for (size_t k = 1; k < length; ++k) {
    const auto next = static_cast<unsigned char>(text[i + k]);
    if (next >> 6 != 2) return {};
    code = code << 6 | (next & 0x3fU);
  }
  constexpr uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xd800 && code < 0xe000;
  if (code < kSmallest[length] || code > 0x10ffff || surrogate) return {};
  return {code, length};
}

template <typename F>
void for_each_code_point(std::string_view utf8, const F& use) {
  for (size_t i = 0; i < utf8.size();) {
    const CodePoint point = code_point_at(utf8, i);
    if (point.bytes == 0) return;
    use(point.value);
    i += point.bytes;
  }
}

struct CodeRange {
  uint32_t first;
  uint32_t last;
};

template <size_t N>
bool is_in(const CodeRange (&ranges)[N], uint32_t code) {
  return std::any_of(std::begin(ranges), std::end(ranges), [code](const CodeRange& range) {
    return range.first <= code && code <= range.last;
  });
}

// Unicode's blocks of Latin letters.
constexpr CodeRange kLatin[] = {{'A', 'Z'},       {'a', 'z'},       {0xc0, 0x24f},
                                {0x1e00, 0x1eff}, {0xff21, 0xff3a}, {0xff41, 0xff5a}};
// Blocks without letters: punctuation, symbols, joiners, private use, emoji.
constexpr CodeRange kNoLetters[] = {{0x2000, 0x2bff}, {0x3000, 0x3004},   {0x3007, 0x3030},
                                    {0xe000, 0xf8ff}, {0xfe00, 0xfe6f},   {0xff00, 0xff20},
                                    {0xfff0, 0xffff}, {0x1f000, 0x1faff}, {0xe0000, 0x10ffff}};
constexpr uint32_t kFirstOtherScript = 0x250;

}  // namespace

void check_utf8(std::string_view prompt, const std::string& name) {
  for (size_t i = 0; i < prompt.size();) {
    const CodePoint point = code_point_at(prompt, i);
    if (point.bytes == 0) {
      throw UsageError(name + " is not UTF-8 from byte " + std::to_string(i) +
                       " on; convert it first, for example with iconv");
    }
    i += point.bytes;
  }
}

void check_prompt(std::string_view prompt, const std::string& name) {
  check_utf8(prompt, name);
  if (const size_t place = prompt.find('\0'); place != std::string_view::npos) {
    throw UsageError(name + " holds a NUL at byte " + std::to_string(place) +
                     "; is it a text file in UTF-8?");
  }
}

bool is_blank(std::string_view utf8) {
  constexpr CodeRange kSpaces[] = {{0, 0x20},        {0x7f, 0xa0},     {0x1680, 0x1680},
                                   {0x2000, 0x200f}, {0x2028, 0x202f}, {0x205f, 0x206f},
                                   {0x3000, 0x3000}, {0xfeff, 0xfeff}};
  bool blank = !utf8.empty();
  for_each_code_point(utf8, [&](uint32_t code) { blank = blank && is_in(kSpaces, code); });
  return blank;
}

bool is_mostly_non_latin(std::string_view utf8) {
  int64_t latin = 0, other = 0;
  for_each_code_point(utf8, [&](uint32_t code) {
    if (is_in(kLatin, code)) {
      ++latin;
    } else if (code >= kFirstOtherScript && !is_in(kNoLetters, code)) {
      ++other;
    }
  });
  return other > latin;
}

std::string excerpt(std::string_view utf8, size_t max_bytes) {
  if (utf8.size() <= max_bytes) return std::string(utf8);
  size_t end = max_bytes;
  const auto continues = [&](size_t i) { return static_cast<unsigned char>(utf8[i]) >> 6 == 2; };
  while (end > 0 && continues(end)) --end;
  return std::string(utf8.substr(0, end)) + "... (" + std::to_string(utf8.size() - end) +
         " bytes more)";
}

}  // namespace cogvx
