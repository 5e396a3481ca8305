#include "io/base64.h"

extern "C" {
#include <libavutil/base64.h>
}

#include <algorithm>

namespace cogvx::io {

std::string base64(std::string_view bytes) {
  // libav counts in int; whole groups of three bytes need no padding between them.
  constexpr size_t kPart = size_t{3} << 20;
  std::string text;
  text.reserve(bytes.size() / 3 * 4 + 5);
  for (size_t at = 0; at < bytes.size(); at += kPart) {
    const std::string_view part = bytes.substr(at, kPart);
    std::string encoded(AV_BASE64_SIZE(part.size()), '\0');
    av_base64_encode(encoded.data(), static_cast<int>(encoded.size()),
                     reinterpret_cast<const uint8_t*>(part.data()), static_cast<int>(part.size()));
    text.append(encoded, 0, encoded.size() - 1);  // its closing zero
  }
  return text;
}

}  // namespace cogvx::io
