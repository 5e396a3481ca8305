#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>

#include "core/ops/cuda/kernels.h"
#include "core/ops/ops.h"

// The calls of our kernels that Ops' functions make: where their tensors lie, and how. No memory is
// touched here, so that the tests of the kernels on the CPU make the same calls as a GPU.
namespace cogvx::cuda {

inline Storage storage_of(at::ScalarType dtype) {
  return dtype == at::kFloat  ? Storage::kFp32
         : dtype == at::kHalf ? Storage::kFp16
                              : Storage::kBf16;
}

// Null for an undefined tensor.
template <typename T = void>
const T* place(const at::Tensor& tensor) {
  return tensor.defined() ? static_cast<const T*>(tensor.const_data_ptr()) : nullptr;
}

inline RowKinds kinds_of(RowSplit split) { return {split.first_row, split.text_rows}; }

// Contiguous x_RD; the caller says where the result goes.
inline ModulatedNormCall norm_call(const at::Tensor& x_RD, const NormWeights& norm,
                                   const RowVectors& shift, const RowVectors& scale,
                                   RowSplit split) {
  return {.storage = storage_of(x_RD.scalar_type()),
          .x_RD = place(x_RD),
          .rows = x_RD.size(0),
          .width = x_RD.size(1),
          .weight_D = place<float>(norm.weight),
          .bias_D = place<float>(norm.bias),
          .eps = static_cast<float>(norm.eps),
          .text_scale_D = place(scale.text),
          .text_shift_D = place(shift.text),
          .video_scale_D = place(scale.video),
          .video_shift_D = place(shift.video),
          .kinds = kinds_of(split)};
}

inline GatedAddCall gate_call(const at::Tensor& x_RD, const at::Tensor& y_RD,
                              const RowVectors& gate, RowSplit split) {
  return {.storage = storage_of(x_RD.scalar_type()),
          .x_RD = x_RD.mutable_data_ptr(),
          .y_RD = place(y_RD),
          .rows = x_RD.size(0),
          .width = x_RD.size(1),
          .text_gate_D = place(gate.text),
          .video_gate_D = place(gate.video),
          .kinds = kinds_of(split)};
}

inline PrepareQkvCall qkv_call(const at::Tensor& qkv_R3D, const QkPreparation& p, RowSplit split,
                               const at::Tensor& qkv_H3RE) {
  const int64_t heads = qkv_H3RE.size(0), width = qkv_H3RE.size(3);
  return {.storage = storage_of(qkv_R3D.scalar_type()),
          .x_R3D = place(qkv_R3D),
          .y_H3RE = qkv_H3RE.mutable_data_ptr(),
          .rows = qkv_R3D.size(0),
          .heads = heads,
          .width = width,
          .x_row_stride = qkv_R3D.stride(0),
          .x_part_stride = heads * width,
          .y_head_stride = qkv_H3RE.stride(0),
          .y_part_stride = qkv_H3RE.stride(1),
          .y_row_stride = qkv_H3RE.stride(2),
          .q_weight_E = place<float>(p.norm_q.weight),
          .q_bias_E = place<float>(p.norm_q.bias),
          .k_weight_E = place<float>(p.norm_k.weight),
          .k_bias_E = place<float>(p.norm_k.bias),
          .q_eps = static_cast<float>(p.norm_q.eps),
          .k_eps = static_cast<float>(p.norm_k.eps),
          .cos = place<float>(p.cos),
          .sin = place<float>(p.sin),
          .kinds = kinds_of(split)};
}

inline BlendCall fade_call(const at::Tensor& before_CTYX, const at::Tensor& tile_CTYX,
                           int64_t dim) {
  BlendCall call{.storage = storage_of(tile_CTYX.scalar_type()),
                 .before_CTYX = place(before_CTYX),
                 .tile_CTYX = tile_CTYX.mutable_data_ptr(),
                 .channels = tile_CTYX.size(0),
                 .frames = tile_CTYX.size(1),
                 .height = tile_CTYX.size(2),
                 .width = tile_CTYX.size(3),
                 .axis = dim == 2 ? FadeAxis::kY : FadeAxis::kX};
  std::copy_n(before_CTYX.strides().begin(), 4, call.before_strides);
  std::copy_n(tile_CTYX.strides().begin(), 4, call.tile_strides);
  return call;
}

// Lines of x_CTYX are contiguous.
inline RgbCall rgb_call(const at::Tensor& x_CTYX, const at::Tensor& rgb_TYX3) {
  return {.storage = storage_of(x_CTYX.scalar_type()),
          .x_CTYX = place(x_CTYX),
          .rgb_TYX3 = static_cast<uint8_t*>(rgb_TYX3.mutable_data_ptr()),
          .x_strides = {x_CTYX.stride(0), x_CTYX.stride(1), x_CTYX.stride(2)},
          .frames = x_CTYX.size(1),
          .height = x_CTYX.size(2),
          .width = x_CTYX.size(3)};
}

}  // namespace cogvx::cuda
