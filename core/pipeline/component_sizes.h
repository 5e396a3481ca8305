#pragma once

#include <cstdint>
#include <functional>

#include "core/pipeline/request.h"
#include "core/vae/tiles.h"
#include "core/weights/checkpoint.h"

// Sizes that the plans of the host's memory and of a device's are made from.
namespace cogvx {

int64_t element_bytes(at::ScalarType dtype);
int64_t transformer_parameters(const TransformerConfig& config);

// Elements of what a layer of the VAE needs beside its input and its output: of so many channels
// and frames for one position of the image plane, or, where the plane changes, of so many elements.
struct VaeWork {
  // A convolution takes x padded, or enlarged, in a copy instead of x, and adds what it gives.
  bool by_copies = false;
  std::function<int64_t(int64_t in, int64_t out, int64_t frames)> convolution;
  std::function<int64_t(int64_t in, int64_t out)> frame_convolution;
  std::function<int64_t(int64_t channels, int64_t frames)> norm;
};

// Elements.
struct VaeSizes {
  int64_t weights = 0;
  int64_t peak = 0;  // of a chunk of a tile, with what is kept for the next
};
VaeSizes decoder_sizes(const Checkpoint& checkpoint, const Request& request, const Tile& tile,
                       const VaeWork& work);
VaeSizes encoder_sizes(const Checkpoint& checkpoint, int64_t frames, const Tile& tile,
                       const VaeWork& work);

}  // namespace cogvx
