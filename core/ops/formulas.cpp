#include "core/ops/formulas.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tanh.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "core/ops/nearest.h"

namespace cogvx::formulas {
namespace {

at::Tensor indices_on(at::Device device, std::vector<int64_t> values) {
  const at::Tensor host = at::from_blob(values.data(), {static_cast<int64_t>(values.size())},
                                        at::TensorOptions().dtype(at::kLong));
  return host.to(device, at::kLong, /*non_blocking=*/false, /*copy=*/true);
}

// A scale or shift of some channels on the latent grid -> fp32 at x's size.
class Enlarging {
 public:
  Enlarging(const at::Tensor& grid_Ctyx, const at::Tensor& x_CTYX)
      : frames_(indices_on(x_CTYX.device(), nearest_frames(grid_Ctyx.size(1), x_CTYX.size(1)))),
        rows_(indices_on(x_CTYX.device(), nearest_indices(grid_Ctyx.size(2), x_CTYX.size(2)))),
        columns_(indices_on(x_CTYX.device(), nearest_indices(grid_Ctyx.size(3), x_CTYX.size(3)))) {}

  at::Tensor operator()(const at::Tensor& grid_ctyx) const {
    return grid_ctyx.to(at::kFloat)
        .index_select(1, frames_)
        .index_select(2, rows_)
        .index_select(3, columns_);
  }

 private:
  at::Tensor frames_;
  at::Tensor rows_;
  at::Tensor columns_;
};

// (x - mean) / deviation * weight + bias of one group, fp32.
at::Tensor normalized(const at::Tensor& x_cTYX, const NormWeights& norm, int64_t first_channel) {
  const int64_t channels = x_cTYX.size(0);
  const at::Tensor centred = x_cTYX - x_cTYX.mean();
  const at::Tensor inverse_deviation = at::rsqrt((centred * centred).mean() + norm.eps);
  const auto per_channel = [&](const at::Tensor& values) {
    return values.narrow(0, first_channel, channels).view({channels, 1, 1, 1});
  };
  return centred * (inverse_deviation * per_channel(norm.weight)) + per_channel(norm.bias);
}

at::Tensor enlarged(const at::Tensor& x_CTYX, bool in_time) {
  const int64_t first_stays = x_CTYX.size(1) % 2;
  std::vector<int64_t> frames(in_time ? 2 * x_CTYX.size(1) - first_stays : x_CTYX.size(1));
  for (int64_t t = 0; t < std::ssize(frames); ++t) frames[t] = in_time ? (t + first_stays) / 2 : t;
  const auto doubled = [&](int64_t size) {
    return indices_on(x_CTYX.device(), nearest_indices(size, 2 * size));
  };
  return x_CTYX.index_select(1, indices_on(x_CTYX.device(), std::move(frames)))
      .index_select(2, doubled(x_CTYX.size(2)))
      .index_select(3, doubled(x_CTYX.size(3)));
}

}  // namespace

at::Tensor rms_norm(const at::Tensor& x_RD, const at::Tensor& weight_D, double eps) {
  const at::Tensor x = x_RD.to(at::kFloat);
  const at::Tensor variance = at::mean(x * x, /*dim=*/{-1}, /*keepdim=*/true);
  return weight_D * (x * at::rsqrt(variance + eps)).to(weight_D.scalar_type());
}

at::Tensor biased_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const at::Tensor& bias_HRR) {
  const int64_t heads = bias_HRR.size(0);
  const auto by_head = [&](const at::Tensor& x_RD) {
    return x_RD.view({x_RD.size(0), heads, -1}).permute({1, 0, 2}).contiguous();
  };
  const at::Tensor scores = at::matmul(by_head(q), by_head(k).transpose(1, 2)) + bias_HRR;
  const at::Tensor weights = at::softmax(scores, /*dim=*/-1, at::kFloat).to(q.scalar_type());
  return at::matmul(weights, by_head(v)).permute({1, 0, 2}).reshape(q.sizes());
}

at::Tensor gated_gelu(const at::Tensor& gate_RD, const at::Tensor& up_RD) {
  const at::Tensor inner = std::sqrt(2.0 / M_PI) * (gate_RD + 0.044715 * at::pow(gate_RD, 3.0));
  return 0.5 * gate_RD * (1.0 + at::tanh(inner)) * up_RD;
}

void norm_silu(const at::Tensor& x_CTYX, const NormSiluCall& call, at::Tensor& y_CTYX) {
  const int64_t channels = x_CTYX.size(0) / call.groups;
  const bool modulates = call.scale_Ctyx.defined();
  const Enlarging enlarged(modulates ? call.scale_Ctyx : x_CTYX, x_CTYX);
  // Group by group: fp32 copies of all of x would be most of a decoder's memory.
  for (int64_t first = 0; first < x_CTYX.size(0); first += channels) {
    const at::Tensor x = x_CTYX.narrow(0, first, channels).to(at::kFloat);
    at::Tensor y = normalized(x, call.norm, first);
    if (modulates) {
      y *= enlarged(call.scale_Ctyx.narrow(0, first, channels));
      y += enlarged(call.shift_Ctyx.narrow(0, first, channels));
    }
    y_CTYX.narrow(0, first, channels).copy_(at::silu(y));
  }
}

ConvWeights plain_convolution(const at::Tensor& weight, const at::Tensor& bias, int64_t stride) {
  return {.in = weight.size(1),
          .out = weight.size(0),
          .kernel = {weight.size(2), weight.size(3), weight.size(4)},
          .stride = stride,
          .packed = weight,
          .bias = bias};
}

at::Tensor convolution_input(ConvCall& call, const ConvWeights& w) {
  at::Tensor x = std::exchange(call.x_CTYX, {});
  if (call.enlarge != Enlarge::kNone) x = enlarged(x, call.enlarge == Enlarge::kSpaceAndTime);
  if (const int64_t before = w.kernel.frames - 1; before > 0) {
    const at::Tensor history = call.history_CTYX.defined()
                                   ? call.history_CTYX
                                   : x.narrow(1, 0, 1).expand({-1, before, -1, -1});
    x = at::cat({history, x}, /*dim=*/1);
  }
  return w.stride == 1 ? x : at::constant_pad_nd(x, {0, 1, 0, 1});
}

at::Tensor convolution_result(const ConvCall& call, const at::Tensor& y_CTYX) {
  return call.sum_CTYX.defined() ? call.sum_CTYX.add_(y_CTYX) : y_CTYX;
}

at::Tensor attend_head(const at::Tensor& qkv_3NE) {
  const int64_t rows = qkv_3NE.size(1);
  const at::Tensor qkv = qkv_3NE.to(at::kFloat).contiguous();
  const at::Tensor q = qkv[0] * (1 / std::sqrt(static_cast<double>(qkv.size(2))));
  const at::Tensor k_EN = qkv[1].t();
  std::vector<at::Tensor> parts;
  for (int64_t row = 0; row < rows; row += kQueryChunk) {
    const at::Tensor scores = at::matmul(q.narrow(0, row, std::min(kQueryChunk, rows - row)), k_EN);
    parts.push_back(at::matmul(at::softmax(scores, /*dim=*/-1), qkv[2]));
  }
  return at::cat(parts).to(qkv_3NE.scalar_type());
}

}  // namespace cogvx::formulas
