#pragma once

#include <cstdint>

#include "core/weights/config.h"

// The layers of the VAE in the order in which VaeDecoder and VaeEncoder call them, for what counts
// the memory and the work that they take.
namespace cogvx {

// `layers` has begin(channels out), resnet(in, out), upsample(channels, in_time), end(channels in).
template <typename Layers>
void walk_decoder(const VaeConfig& config, Layers& layers) {
  const auto& widths = config.block_out_channels;
  int64_t in = widths.back();
  layers.begin(in);
  for (int i = 0; i < 2; ++i) layers.resnet(in, in);
  for (size_t i = 0; i < widths.size(); ++i) {
    const int64_t out = widths[widths.size() - 1 - i];
    for (int64_t j = 0; j <= config.layers_per_block; ++j) layers.resnet(j == 0 ? in : out, out);
    if (i + 1 < widths.size()) layers.upsample(out, /*in_time=*/i < 2);
    in = out;
  }
  layers.end(in);
}

// The same with downsample(channels, in_time).
template <typename Layers>
void walk_encoder(const VaeConfig& config, Layers& layers) {
  const auto& widths = config.block_out_channels;
  int64_t in = widths.front();
  layers.begin(in);
  for (size_t i = 0; i < widths.size(); ++i) {
    for (int64_t j = 0; j < config.layers_per_block; ++j)
      layers.resnet(j == 0 ? in : widths[i], widths[i]);
    if (i + 1 < widths.size()) layers.downsample(widths[i], /*in_time=*/i < 2);
    in = widths[i];
  }
  for (int i = 0; i < 2; ++i) layers.resnet(in, in);
  layers.end(in);
}

}  // namespace cogvx
