#include "app/compare/comparison.h"

#include <algorithm>
#include <cstring>

namespace cogvx::app {

const char* kind_name(Kind kind) {
  switch (kind) {
    case Kind::kFrames:
      return "video frames";
    case Kind::kLatents:
      return "latents";
    case Kind::kState:
      return "a state";
    case Kind::kTrace:
      return "a trace";
    case Kind::kSidecar:
      return "a sidecar";
  }
  return "?";
}

const char* pieces_name(Kind kind) {
  switch (kind) {
    case Kind::kFrames:
      return "frames";
    case Kind::kLatents:
    case Kind::kState:
      return "latent frames";
    case Kind::kTrace:
      return "rungs";
    case Kind::kSidecar:
      return "hashes";
  }
  return "?";
}

size_t compare_pieces(const void* reference, const void* test, size_t size, size_t piece,
                      Comparison& result) {
  const auto* left = static_cast<const uint8_t*>(reference);
  const auto* right = static_cast<const uint8_t*>(test);
  for (size_t at = 0; at < size; at += piece) {
    ++result.total;
    if (std::memcmp(left + at, right + at, piece) == 0) ++result.identical;
  }
  result.same = result.identical == result.total;
  return std::mismatch(left, left + size, right).first - left;
}

}  // namespace cogvx::app
