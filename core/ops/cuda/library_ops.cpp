// GPU only: guarded by libtorch's own checks, which throw.

// What CudaOps takes from cuDNN and libtorch: attention and convolution.
#include <ATen/cuda/CUDAEvent.h>
#include <ATen/ops/_flash_attention_forward.h>
#include <ATen/ops/_scaled_dot_product_cudnn_attention.h>
#include <ATen/ops/cudnn_convolution.h>
#include <ATen/ops/stack.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>

#include <cmath>
#include <stdexcept>

#include "core/base/errors.h"
#include "core/ops/cuda/cuda_ops.h"
#include "core/ops/formulas.h"

namespace cogvx::cuda {
namespace {

// GPU only: guarded by libtorch's checks, and by the planner's of one head against all.
at::Tensor attend(AttentionKernel kernel, const at::Tensor& qkv_H3NE) {
  const double scale = 1 / std::sqrt(static_cast<double>(qkv_H3NE.size(3)));
  const int64_t rows = qkv_H3NE.size(2);
  const auto by_head = [&](int64_t part) { return qkv_H3NE.select(1, part).unsqueeze(0); };
  const auto by_row = [&](int64_t part) { return by_head(part).transpose(1, 2); };
  if (kernel == AttentionKernel::kCudnn) {
    return std::get<0>(at::_scaled_dot_product_cudnn_attention(
                           by_head(0), by_head(1), by_head(2), /*attn_bias=*/std::nullopt,
                           /*compute_log_sumexp=*/false, /*dropout_p=*/0.0, /*is_causal=*/false,
                           /*return_debug_mask=*/false, scale))
        .squeeze(0);
  }
  if (kernel == AttentionKernel::kFlash) {
    return std::get<0>(at::_flash_attention_forward(
                           by_row(0), by_row(1), by_row(2), /*cum_seq_q=*/std::nullopt,
                           /*cum_seq_k=*/std::nullopt, rows, rows, /*dropout_p=*/0.0,
                           /*is_causal=*/false, /*return_debug_mask=*/false, scale))
        .squeeze(0)
        .transpose(0, 1);
  }
  std::vector<at::Tensor> heads;
  for (int64_t head = 0; head < qkv_H3NE.size(0); ++head)
    heads.push_back(formulas::attend_head(qkv_H3NE[head]));
  return at::stack(heads);
}

const char* attention_id(AttentionKernel kernel) {
  return kernel == AttentionKernel::kMath    ? "math"
         : kernel == AttentionKernel::kFlash ? "flash"
                                             : "cudnn";
}

int64_t refusals_of_memory(at::Device device) {
  return c10::cuda::CUDACachingAllocator::getDeviceStats(device.index()).num_ooms;
}

}  // namespace

// GPU only: guarded by c10's checks of each call; the order of streams changes no byte of a head.
void CudaOps::attend_one_by_one(const at::Tensor& qkv_H3NE, const at::Tensor& out_HNE) {
  const c10::cuda::CUDAStream here = c10::cuda::getCurrentCUDAStream(device_.index());
  at::cuda::CUDAEvent ready;
  ready.record(here);
  for (int64_t head = 0; head < qkv_H3NE.size(0); ++head) {
    const c10::cuda::CUDAStream& side = side_streams_[head % side_streams_.size()];
    if (head < std::ssize(side_streams_)) ready.block(side);
    const c10::cuda::CUDAStreamGuard guard(side);
    out_HNE.narrow(0, head, 1).copy_(attend(kernel_, qkv_H3NE.narrow(0, head, 1).contiguous()));
  }
  for (const c10::cuda::CUDAStream& side : side_streams_) {
    at::cuda::CUDAEvent done;
    done.record(side);
    done.block(here);
  }
}

HeadKernel CudaOps::head_kernel() {
  const auto all_at_once = [this](const HeadCall& call) {
    call.out_HNE.copy_(attend(kernel_, call.qkv_H3NE.contiguous()));
  };
  const auto each = [this](const HeadCall& c) { attend_one_by_one(c.qkv_H3NE, c.out_HNE); };
  return {.id = attention_id(kernel_), .run = all_at_once, .run_each = each};
}

void CudaOps::attention(const at::Tensor& qkv_H3NE, std::span<const AttentionRun> runs,
                        at::Tensor& out_HNE) {
  const int64_t tiles = ceil_div(qkv_H3NE.size(2), kBlockRows);
  for (int64_t head = 0; head < std::ssize(runs); ++head) {
    if (runs[head] != AttentionRun{head, 0, tiles})
      throw std::logic_error("attention on a GPU takes whole heads, all of them in order");
  }
  if (std::ssize(runs) != qkv_H3NE.size(0))
    throw std::logic_error("attention on a GPU has other runs than heads");
  if (attend_) return attend_(qkv_H3NE, out_HNE);
  attend_one_by_one(qkv_H3NE, out_HNE);
}

// GPU only: guarded by the allocator's count of refusals: libtorch takes the next plan where one
// gets no workspace, which would be other bytes.
at::Tensor CudaOps::convolution(ConvCall call, const ConvWeights& w) {
  const int64_t pad_y = w.padding(w.kernel.height), pad_x = w.padding(w.kernel.width);
  const int64_t refusals = refusals_of_memory(device_);
  at::Tensor y = at::cudnn_convolution(
      formulas::convolution_input(call, w).unsqueeze(0).contiguous(), w.packed, {0, pad_y, pad_x},
      {1, w.stride, w.stride}, {1, 1, 1}, /*groups=*/1, /*benchmark=*/false, /*deterministic=*/true,
      /*allow_tf32=*/false);
  if (refusals_of_memory(device_) != refusals)
    throw MemoryError(
        "CUDA: a convolution's plan got no workspace, and another plan would give other bytes; "
        "use a smaller --vae-tile, or run on the CPU");
  return formulas::convolution_result(call, y.squeeze(0).add_(w.bias.view({-1, 1, 1, 1})));
}

}  // namespace cogvx::cuda
