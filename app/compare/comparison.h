#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "app/compare/tensor_distance.h"
#include "app/compare/video_distance.h"

namespace cogvx::app {

enum class Kind { kFrames, kLatents, kState, kTrace, kSidecar };
// "video frames", "latents", "a state"
const char* kind_name(Kind kind);

// What its pieces are called: "frames", "latent frames", "rungs".
const char* pieces_name(Kind kind);

// How TEST stands to REF.
struct Comparison {
  Kind kind = Kind::kFrames;
  bool same = false;  // byte for byte
  int64_t identical = 0;
  int64_t total = 0;
  std::string sha256_reference{};  // of all frames or latents; empty for the other kinds
  std::string sha256_test{};
  std::string first_difference{};    // empty where nothing differs
  std::vector<std::string> notes{};  // what explains a difference, and what else is not alike
  std::optional<VideoDistance> video{};
  std::optional<TensorDistance> tensors{};
};

// Counts equal pieces of `piece` bytes into the result; returns the first byte that differs, or
// `size`.
size_t compare_pieces(const void* reference, const void* test, size_t size, size_t piece,
                      Comparison& result);

}  // namespace cogvx::app
