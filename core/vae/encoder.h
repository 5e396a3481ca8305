#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "core/ops/ops.h"
#include "core/vae/causal.h"
#include "core/weights/config.h"
#include "core/weights/weight_map.h"

namespace cogvx {

// Shape letters: C channels, t latent frames, T frames, y x latent positions, Y X pixels of the
// layer at hand.

using EncoderResnet = VaeResnet<NormWeights>;

struct EncoderDownBlock {
  std::vector<EncoderResnet> resnets;
  ConvWeights downsampler;  // undefined: none
  bool in_time = false;
};

// diffusers: CogVideoXEncoder3D.
class VaeEncoder {
 public:
  // Takes the encoder's tensors and reads none of the decoder's. Throws DataError.
  VaeEncoder(const VaeConfig& config, WeightMap& weights, at::ScalarType dtype, Ops& ops);

  at::ScalarType dtype() const { return dtype_; }
  // Where it computes.
  Ops& ops() const { return ops_; }
  // Mean and log variance of every latent channel.
  int64_t moment_channels() const { return 2 * config_.latent_channels; }

  // One temporal chunk of one tile: pixels_CTYX, -1 to 1 -> moments [2 * latent channels, t, y, x],
  // both on the host; `cache` starts empty for each tile and stays where the Ops computes.
  at::Tensor encode_chunk(const at::Tensor& host_pixels_CTYX, CausalCache& cache) const;

 private:
  VaeConfig config_;
  at::ScalarType dtype_;
  Ops& ops_;
  ConvWeights conv_in_;
  std::vector<EncoderDownBlock> down_blocks_;
  std::vector<EncoderResnet> mid_resnets_;
  NormWeights norm_out_;
  ConvWeights conv_out_;
};

}  // namespace cogvx
