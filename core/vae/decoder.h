#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "core/ops/ops.h"
#include "core/vae/causal.h"
#include "core/weights/config.h"
#include "core/weights/weight_map.h"

namespace cogvx {

// Shape letters: C channels, t latent frames, T frames, Y X pixels of the layer at hand.

// GroupNorm whose scale and shift come from the latents through two 1x1 convolutions (diffusers:
// CogVideoXSpatialNorm3D).
struct SpatialNorm {
  NormWeights norm;
  ConvWeights conv_y;
  ConvWeights conv_b;
};

using DecoderResnet = VaeResnet<SpatialNorm>;

struct DecoderUpBlock {
  std::vector<DecoderResnet> resnets;
  ConvWeights upsampler;  // undefined: none
  bool in_time = false;
};

// diffusers: CogVideoXDecoder3D.
class VaeDecoder {
 public:
  // Takes the decoder's tensors and reads none of the encoder's. Throws DataError.
  VaeDecoder(const VaeConfig& config, WeightMap& weights, at::ScalarType dtype, Ops& ops);

  at::ScalarType dtype() const { return dtype_; }
  // Where it computes.
  Ops& ops() const { return ops_; }

  // One temporal chunk of one tile: latents_CtYX -> frames [3, T, 8Y, 8X], both on the host;
  // `cache` starts empty for each tile and stays where the Ops computes.
  at::Tensor decode_chunk(const at::Tensor& host_latents_CtYX, CausalCache& cache) const;

 private:
  // With SiLU; y may be x.
  void norm(const at::Tensor& x_CTYX, const SpatialNorm& norm, const at::Tensor& latents_CtYX,
            at::Tensor& y_CTYX) const;

  VaeConfig config_;
  at::ScalarType dtype_;
  Ops& ops_;
  ConvWeights conv_in_;
  std::vector<DecoderResnet> mid_resnets_;
  std::vector<DecoderUpBlock> up_blocks_;
  SpatialNorm norm_out_;
  ConvWeights conv_out_;
};

}  // namespace cogvx
