#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "core/ops/ops.h"

// Some of Ops in ATen's own operations, so that they run on any device and are tested on the CPU.
// For a device without a kernel of ours for them; contracts as in ops.h.
namespace cogvx::formulas {

at::Tensor rms_norm(const at::Tensor& x_RD, const at::Tensor& weight_D, double eps);
at::Tensor biased_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const at::Tensor& bias_HRR);
at::Tensor gated_gelu(const at::Tensor& gate_RD, const at::Tensor& up_RD);
void norm_silu(const at::Tensor& x_CTYX, const NormSiluCall& call, at::Tensor& y_CTYX);

// A convolution's weights as they are stored, both on the device.
ConvWeights plain_convolution(const at::Tensor& weight, const at::Tensor& bias, int64_t stride);
// The call's x, which it gives up, as a library's convolution takes it: enlarged, behind the frames
// that come before, and for a stride with a line of zeros below and to the right.
at::Tensor convolution_input(ConvCall& call, const ConvWeights& weights);
// y, or where the call has a sum that with y added.
at::Tensor convolution_result(const ConvCall& call, const at::Tensor& y_CTYX);

// Attention of one whole head qkv_3NE, in fp32, -> [N, E] in its dtype. Queries go in chunks of
// kQueryChunk from row 0 on, whose scores are all that lies in memory at once.
constexpr int64_t kQueryChunk = 1024;
at::Tensor attend_head(const at::Tensor& qkv_3NE);

}  // namespace cogvx::formulas
