#pragma once

#include <ATen/core/Tensor.h>

#include "core/ops/cpu/workers.h"
#include "core/ops/ops.h"

// A convolution as a matrix product whose rows are found by address: for each tap of the kernel a
// row of the left matrix is the pixel that the tap looks at, or a row of zeros beyond the border.
// Nothing is copied for padding, for the frames before, or for enlarging.
namespace cogvx::cpu {

// As in ops.h. Units: (output frame, run of its pixels, block of 64 output channels), each over
// taps and input channels in order.
ConvWeights pack_convolution(ThreadPool& pool, const at::Tensor& weight, const at::Tensor& bias,
                             int64_t stride);
at::Tensor convolution(const Workers& workers, const ConvCall& call, const ConvWeights& weights);

}  // namespace cogvx::cpu
