#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/base/shapes.h"
#include "core/ops/activation.h"

// The few operations the models are made of. Each is a loop over units whose shapes depend on the
// tensors alone; who runs a unit (thread or rank) never changes its bytes. Shape letters: R rows of
// this call, N all rows of the joint sequence, K in, D width, H heads of this call, E head dim; C
// channels, T frames, Y rows and X columns of an image.
namespace cogvx {

// A linear layer packed at load for one Ops; only the Ops that packed it reads `packed`.
struct LinearWeights {
  int64_t in = 0;
  int64_t out = 0;
  at::ScalarType dtype = at::kFloat;
  at::Tensor packed;
  at::Tensor bias;  // [out], in the dtype that the Ops adds in; undefined for none
};

struct LinearCall {
  int64_t first_row = 0;  // its global index: blocks of 64 are cut at global multiples of 64
  // All rows of the joint sequence that the layer has, of which each owner computes its own. None:
  // every owner makes the very same call.
  RowRange shared{};
  Activation activation = Activation::kNone;
};

// A layer whose rows are shared out.
struct SharedLinear {
  std::string name;
  LinearWeights weights;
  RowRange rows;
  Activation activation = Activation::kNone;
};

// All that a forward pass shares out among owners, however many they are.
struct SharedCalls {
  int64_t rows = 0;   // N
  int64_t heads = 0;  // H, all of them
  int64_t head_dim = 0;
  at::ScalarType dtype = at::kFloat;
  std::vector<SharedLinear> linears;
};

struct NormWeights {
  at::Tensor weight;  // fp32
  at::Tensor bias;    // fp32
  double eps = 1e-5;
};

// Which rows of a call are text: global rows below text_rows are, the rest is video.
struct RowSplit {
  int64_t first_row = 0;
  int64_t text_rows = 0;
};

// One vector for text rows and one for video rows, each [D] in the compute dtype.
struct RowVectors {
  at::Tensor text;
  at::Tensor video;
};

// A linear layer whose result joins rows that are there, times the gate of the row's kind.
struct GatedLinearCall {
  LinearCall linear;
  RowVectors gate;
  RowSplit split;
};

// What q and k go through between projection and attention.
struct QkPreparation {
  NormWeights norm_q;
  NormWeights norm_k;
  at::Tensor cos;  // fp32 [video rows, E]; undefined: no rotary positions
  at::Tensor sin;
};

// Query tiles [tile_begin, tile_end), 64 rows each, of one head of the call.
struct AttentionRun {
  int64_t head = 0;
  int64_t tile_begin = 0;
  int64_t tile_end = 0;
  bool operator==(const AttentionRun&) const = default;
};

struct ConvKernel {
  int64_t frames = 1;
  int64_t height = 1;
  int64_t width = 1;
  int64_t taps() const { return frames * height * width; }
};

// A convolution packed at load for one Ops; only the Ops that packed it reads `packed`.
struct ConvWeights {
  int64_t in = 0;
  int64_t out = 0;
  ConvKernel kernel;
  int64_t stride = 1;  // in space
  at::Tensor packed;   // undefined: there is no such layer
  at::Tensor bias;     // [out], in the dtype that the Ops adds in
  // Lines of zeros on either side for a kernel of so many; with a stride of 2 there are none before
  // and one behind.
  int64_t padding(int64_t lines) const { return stride == 1 ? (lines - 1) / 2 : 0; }
};

// Nearest neighbour, x2: an odd count of frames above 1 keeps its first frame single, one frame
// stays one.
enum class Enlarge { kNone, kSpace, kSpaceAndTime };

// What a convolution takes and where its result goes.
struct ConvCall {
  at::Tensor x_CTYX;
  // What comes before x: one frame less than the kernel has. Undefined: x's first, repeated.
  at::Tensor history_CTYX{};
  Enlarge enlarge = Enlarge::kNone;  // x, before it is convolved
  // The result is added to it, in place, and it is returned. Undefined: the result is new.
  at::Tensor sum_CTYX{};
};

// The decoder's SpatialNorm gives scale and shift on the latent grid; both are enlarged to x by
// nearest neighbour, the first frame apart from the rest when T is odd and above 1. Undefined:
// plain GroupNorm.
struct NormSiluCall {
  const NormWeights& norm;
  int64_t groups = 1;
  at::Tensor scale_Ctyx;
  at::Tensor shift_Ctyx;
};

class Ops {
 public:
  virtual ~Ops() = default;

  // Where the tensors of every other call live, those given and those returned.
  virtual at::Device device() const = 0;
  // A host's tensor for the calls below, and a result for the host; the same tensor where the host
  // computes. Calls that pack weights alone take the host's tensors.
  virtual at::Tensor upload(const at::Tensor& host) = 0;
  virtual at::Tensor download(const at::Tensor& result) = 0;
  // The most bytes that lay on the device at once since the last call; 0 where the host computes.
  virtual int64_t take_peak_bytes() = 0;

  // Called by every owner, with the same, before any of these calls is made: an Ops whose library
  // has many kernels picks and checks one for each. Throws DeviceError or MemoryError.
  virtual void prepare(const SharedCalls& calls) = 0;

  // A weight that is packed may lie in a file (WeightMap::lend): it is not kept.
  virtual LinearWeights pack_linear(const at::Tensor& weight_NK, const at::Tensor& bias_N) = 0;
  virtual at::Tensor linear(const at::Tensor& x_RK, const LinearWeights& weights,
                            const LinearCall& call = {}) = 0;

  // LayerNorm with weight and bias, then * (1 + scale) + shift with the vectors of the row's kind;
  // undefined vectors: none.
  virtual at::Tensor modulated_norm(const at::Tensor& x_RD, const NormWeights& norm,
                                    const RowVectors& shift, const RowVectors& scale,
                                    RowSplit split) = 0;
  // x_RD += gate * y_RD, in place.
  virtual void gated_add(at::Tensor& x_RD, const at::Tensor& y_RD, const RowVectors& gate,
                         RowSplit split) = 0;
  // x_RD += gate * linear(y_RK), in place. An Ops may leave out the rounding of what is between.
  virtual void add_linear(at::Tensor& x_RD, const at::Tensor& y_RK, const LinearWeights& weights,
                          const GatedLinearCall& call) {
    gated_add(x_RD, linear(y_RK, weights, call.linear), call.gate, call.split);
  }
  // Projected q|k|v of own rows -> LayerNorm over E on q and k, rotary positions on video rows,
  // written to qkv_H3RE (any strides, last dim contiguous).
  virtual void prepare_qkv(const at::Tensor& qkv_R3D, const QkPreparation& preparation,
                           RowSplit split, at::Tensor& qkv_H3RE) = 0;
  // softmax(q k^T / sqrt(E)) v for the runs, all keys in one order; writes those rows of out_HNE
  // (last dim contiguous).
  virtual void attention(const at::Tensor& qkv_H3NE, std::span<const AttentionRun> runs,
                         at::Tensor& out_HNE) = 0;

  // T5: weight * x / rms(x) in fp32, rounded before the weight is applied.
  virtual at::Tensor rms_norm(const at::Tensor& x_RD, const at::Tensor& weight_D, double eps) = 0;
  // T5: softmax(q k^T + bias) v per head, no scaling; [R, H*E] each, bias [H, R, R].
  virtual at::Tensor biased_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                      const at::Tensor& bias_HRR) = 0;
  // T5: gelu_new(gate) * up, op by op in the tensors' dtype.
  virtual at::Tensor gated_gelu(const at::Tensor& gate_RD, const at::Tensor& up_RD) = 0;

  // The host's tensors, weight [Cout, Cin, kt, ky, kx] and bias [Cout].
  virtual ConvWeights pack_convolution(const at::Tensor& weight, const at::Tensor& bias,
                                       int64_t stride) = 0;
  // [Cout, T, Y', X']. Takes its call, for an Ops that makes a copy of x to let go of x itself.
  virtual at::Tensor convolution(ConvCall call, const ConvWeights& weights) = 0;
  // y = silu(GroupNorm(x)), or silu(GroupNorm(x) * scale + shift). y may be x.
  virtual void norm_silu(const at::Tensor& x_CTYX, const NormSiluCall& call,
                         at::Tensor& y_CTYX) = 0;

  // One seam between tiles: the lines of `before` fade into those of `tile` along `dim` (2 Y, 3 X),
  // in place. Both are the seam alone, of one shape and any strides.
  virtual void fade(const at::Tensor& before_CTYX, at::Tensor& tile_CTYX, int64_t dim) = 0;
  // Finite x_CTYX, -1 to 1 -> uint8 [T, Y, X, C], half to even.
  virtual at::Tensor to_rgb(const at::Tensor& x_CTYX) = 0;
};

}  // namespace cogvx
