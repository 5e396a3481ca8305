#pragma once

#include <cstdint>
#include <functional>

#include "core/pipeline/request.h"
#include "core/weights/checkpoint.h"

// Sizes that the plans of the host's memory and of a device's are made from.
namespace cogvx {

int64_t element_bytes(at::ScalarType dtype);
int64_t transformer_parameters(const TransformerConfig& config);

// Elements, for one position of the image plane, of what a layer of so many channels and frames
// needs beside its input and its output.
struct DecoderWork {
  std::function<int64_t(int64_t in, int64_t out, int64_t frames)> convolution;
  std::function<int64_t(int64_t channels, int64_t frames)> frame_convolution;
  std::function<int64_t(int64_t channels, int64_t frames)> norm;
};

// Elements.
struct DecoderSizes {
  int64_t weights = 0;
  int64_t peak = 0;  // of the first chunk of the largest tile, with what is kept for the next
};
DecoderSizes decoder_sizes(const Checkpoint& checkpoint, const Request& request,
                           const DecoderWork& work);

}  // namespace cogvx
