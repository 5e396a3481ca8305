#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <utility>

#include "core/ops/ops.h"
#include "core/weights/weight_map.h"

// What the VAE's encoder and decoder are both made of. Shape letters: C channels, T frames, Y X
// pixels of the layer at hand.
namespace cogvx {

// A 3x3x3 causal convolution looks at two frames before its own.
constexpr int64_t kCausalFrames = 2;

// The two last input frames of every causal convolution, carried from one temporal chunk to the
// next.
struct CausalCache {
  std::map<const ConvWeights*, at::Tensor> frames;
  bool last_chunk = false;  // nothing is kept then
};

// New frames that lie in memory as those of `like`, for an Ops has an order of its own.
at::Tensor frames_like(const at::Tensor& like_CTYX, int64_t frames);

// A chunk's way through the layers.
struct ChunkRun {
  Ops& ops;
  CausalCache& cache;
};
// What comes before the call's x is the end of the chunk before, or, in the first chunk, x's own
// first frame. The cache gets the end of this one.
at::Tensor causal_convolution(const ChunkRun& run, ConvCall call, const ConvWeights& conv);

template <typename Norm>
struct VaeResnet {
  Norm norm1;
  ConvWeights conv1;
  Norm norm2;
  ConvWeights conv2;
  ConvWeights shortcut;  // undefined: channels stay
};
// norm(x_CTYX, weights, y_CTYX) goes through SiLU too; y may be x. Takes x, so that no tensor lives
// longer than it is needed.
template <typename Norm, typename ApplyNorm>
at::Tensor run_resnet(const ChunkRun& run, const VaeResnet<Norm>& resnet, at::Tensor x_CTYX,
                      const ApplyNorm& norm) {
  at::Tensor h_CTYX = x_CTYX;
  if (resnet.shortcut.packed.defined()) {
    // First, for the norm to write where x lies.
    x_CTYX = run.ops.convolution({h_CTYX}, resnet.shortcut);
    norm(h_CTYX, resnet.norm1, h_CTYX);
  } else {
    h_CTYX = frames_like(x_CTYX, x_CTYX.size(1));
    norm(x_CTYX, resnet.norm1, h_CTYX);
  }
  h_CTYX = causal_convolution(run, {std::move(h_CTYX)}, resnet.conv1);
  norm(h_CTYX, resnet.norm2, h_CTYX);
  return causal_convolution(run, {.x_CTYX = std::move(h_CTYX), .sum_CTYX = std::move(x_CTYX)},
                            resnet.conv2);
}

// Takes the layers of one half of the VAE to where an Ops computes. All throw DataError.
class VaeLayerLoader {
 public:
  // `part` ("encoder.", "decoder.") goes before every name.
  VaeLayerLoader(const std::string& part, WeightMap& weights, at::ScalarType dtype, Ops& ops)
      : part_(part), weights_(weights), dtype_(dtype), ops_(ops) {
    weights_.read_ahead(part);
  }

  // A cube of a kernel.
  ConvWeights convolution(const std::string& name, int64_t out, int64_t in, int64_t kernel);
  // 3x3, of single frames, kept as a 3-D one of one frame.
  ConvWeights frame_convolution(const std::string& name, int64_t channels, int64_t stride = 1);
  NormWeights norm(const std::string& name, int64_t channels, double eps);

 private:
  at::Tensor take(const std::string& name, at::IntArrayRef shape);
  at::Tensor lend(const std::string& name, at::IntArrayRef shape);
  ConvWeights packed(const std::string& name, const at::Tensor& weight, int64_t stride);

  std::string part_;
  WeightMap& weights_;
  at::ScalarType dtype_;
  Ops& ops_;
};

}  // namespace cogvx
