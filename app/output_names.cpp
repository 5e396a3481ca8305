#include "app/output_names.h"

#include <locale.h>
#include <wchar.h>
#include <wctype.h>

#include <algorithm>
#include <array>
#include <climits>
#include <vector>

#include "core/base/errors.h"
#include "core/base/json.h"

namespace cogvx::app {
namespace {

// Of a file's name: as much as file systems take, less ".<stem>.latents.safetensors.tmp-<pid>-<n>".
constexpr size_t kNameBytes = NAME_MAX - 48;
// More is of no use to who reads a folder's list.
constexpr size_t kSlugBytes = 80;
constexpr char kNoSlug[] = "video";
constexpr std::array<const char*, 3> kNames = {"index", "seed", "slug"};

// The C library's tables of letters, whatever the user's own locale is. Where it has no UTF-8 all
// but ASCII is left out of names.
class Utf8Locale {
 public:
  Utf8Locale() : locale_(newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr)) {
    if (locale_ != nullptr) previous_ = uselocale(locale_);
  }
  ~Utf8Locale() {
    if (locale_ == nullptr) return;
    uselocale(previous_);
    freelocale(locale_);
  }
  Utf8Locale(const Utf8Locale&) = delete;
  Utf8Locale& operator=(const Utf8Locale&) = delete;

 private:
  locale_t locale_;
  locale_t previous_ = nullptr;
};

// A piece of a template: text as it is, or the name of a value.
struct Piece {
  std::string text;
  bool is_name = false;
};

[[noreturn]] void refuse(const std::string& flag, const std::string& pattern,
                         const std::string& what) {
  throw UsageError(flag + " is " + quoted_excerpt(pattern) + ": " + what +
                   "; it takes {index}, {seed} and {slug}, and {{ for a brace");
}

std::vector<Piece> pieces_of(const std::string& pattern, const std::string& flag) {
  std::vector<Piece> pieces(1);
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char letter = pattern[i];
    if (letter != '{' && letter != '}') {
      pieces.back().text += letter;
      continue;
    }
    if (i + 1 < pattern.size() && pattern[i + 1] == letter) {
      pieces.back().text += letter;
      ++i;
      continue;
    }
    const size_t end = pattern.find('}', i);
    if (letter == '}' || end == std::string::npos) refuse(flag, pattern, "a brace stands alone");
    const std::string name = pattern.substr(i + 1, end - i - 1);
    if (std::find(kNames.begin(), kNames.end(), name) == kNames.end())
      refuse(flag, pattern, quoted_excerpt("{" + name + "}") + " is unknown");
    pieces.push_back({name, true});
    pieces.push_back({});
    i = end;
  }
  return pieces;
}

std::string padded(int64_t index, int64_t count) {
  std::string digits = std::to_string(index);
  const size_t width = std::to_string(count).size();
  return std::string(width - std::min(width, digits.size()), '0') + digits;
}

std::string joined(const std::vector<Piece>& pieces, const NameValues& values,
                   const std::string& slug) {
  std::string name;
  for (const Piece& piece : pieces) {
    name += !piece.is_name          ? piece.text
            : piece.text == "index" ? padded(values.index, values.count)
            : piece.text == "seed"  ? std::to_string(values.seed)
                                    : slug;
  }
  return name;
}

// Bytes of the longest part between slashes.
size_t longest_part(const std::string& path) {
  size_t longest = 0, start = 0;
  while (start <= path.size()) {
    const size_t end = std::min(path.find('/', start), path.size());
    longest = std::max(longest, end - start);
    start = end + 1;
  }
  return longest;
}

}  // namespace

std::string expand_name(const std::string& pattern, const NameValues& values,
                        const std::string& flag) {
  const std::vector<Piece> pieces = pieces_of(pattern, flag);
  size_t bytes = kSlugBytes;
  std::string name = joined(pieces, values, slug_of(values.prompt, bytes));
  while (longest_part(name) > kNameBytes && bytes > 1)
    name = joined(pieces, values, slug_of(values.prompt, --bytes));
  return name;
}

bool name_uses(const std::string& pattern, const std::string& name) {
  try {
    const std::vector<Piece> pieces = pieces_of(pattern, "");
    return std::any_of(pieces.begin(), pieces.end(),
                       [&](const Piece& piece) { return piece.is_name && piece.text == name; });
  } catch (const UsageError&) {
    return false;
  }
}

std::string slug_of(std::string_view prompt, size_t max_bytes) {
  const Utf8Locale locale;
  std::string slug;
  bool gap = false;
  for (size_t i = 0; i < prompt.size();) {
    mbstate_t state{};
    wchar_t letter = 0;
    const size_t read = mbrtowc(&letter, prompt.data() + i, prompt.size() - i, &state);
    const bool valid = read != 0 && read <= prompt.size() - i;
    i += valid ? read : 1;
    if (!valid || iswalnum(static_cast<wint_t>(letter)) == 0) {
      gap = true;
      continue;
    }
    std::array<char, MB_LEN_MAX> bytes{};
    mbstate_t writing{};
    const size_t size = wcrtomb(
        bytes.data(), static_cast<wchar_t>(towlower(static_cast<wint_t>(letter))), &writing);
    if (size == static_cast<size_t>(-1)) continue;
    const bool dash = gap && !slug.empty();
    if (slug.size() + dash + size > max_bytes) break;
    if (dash) slug += '-';
    slug.append(bytes.data(), size);
    gap = false;
  }
  return slug.empty() ? std::string(kNoSlug).substr(0, max_bytes) : slug;
}

}  // namespace cogvx::app
