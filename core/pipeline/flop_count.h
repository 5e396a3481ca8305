#pragma once

#include <cstdint>

#include "core/base/shapes.h"
#include "core/pipeline/request.h"
#include "core/weights/checkpoint.h"

// Floating-point operations, a product and a sum being two, of matrix products and convolutions;
// what norms and activations cost beside them is not counted. Every function is pure.
namespace cogvx {

// Of one forward pass, by what limits them.
struct PassFlops {
  int64_t linear = 0;
  int64_t attention = 0;
  int64_t total() const { return linear + attention; }
  bool operator==(const PassFlops&) const = default;
};

// What one process computes of a pass: rows of the joint sequence, and attended query rows summed
// over its heads.
struct PassShare {
  RowRange rows;
  int64_t query_rows = 0;
};
PassShare whole_pass(const Request& request, const Checkpoint& checkpoint);
// The transformer, one guidance branch. Conditioning (time, modulation) is in every share.
PassFlops transformer_flops(const Request& request, const Checkpoint& checkpoint,
                            const PassShare& share);

// The text encoder, one prompt.
int64_t text_flops(const Request& request, const Checkpoint& checkpoint);
// A tile of so many latents through the VAE's decoder, in all its temporal chunks.
int64_t decode_tile_flops(const Request& request, const Checkpoint& checkpoint, int64_t height,
                          int64_t width);
// A tile of so many pixels of the request's input through the encoder; 0 without an input.
int64_t encode_tile_flops(const Request& request, const Checkpoint& checkpoint, int64_t height,
                          int64_t width);

}  // namespace cogvx
