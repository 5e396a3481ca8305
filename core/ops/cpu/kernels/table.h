#pragma once

#include "core/ops/cpu/kernels/gemm.h"
#include "core/ops/cpu/kernels/paths.h"
#include "core/ops/cpu/kernels/pixels.h"
#include "core/ops/cpu/kernels/rows.h"
#include "core/ops/cpu/kernels/softmax.h"

namespace cogvx::cpu {
namespace {

constexpr Kernels kTable{.gemm = {gemm<float>, gemm<Bf16>},
                         .finish = {finish<float>, finish<Bf16>},
                         .softmax = {softmax<float>, softmax<Bf16>},
                         .norm_rows = {norm_rows<float>, norm_rows<Bf16>},
                         .gated_add_rows = {gated_add_rows<float>, gated_add_rows<Bf16>},
                         .head_rows = {head_rows<float>, head_rows<Bf16>},
                         .channel_sums = {channel_sums<float>, channel_sums<Bf16>},
                         .norm_silu_pixels = {norm_silu_pixels<float>, norm_silu_pixels<Bf16>}};

}  // namespace
}  // namespace cogvx::cpu
