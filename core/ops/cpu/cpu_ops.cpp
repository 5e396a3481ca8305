#include "core/ops/cpu/cpu_ops.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tanh.h>

#include <cmath>

#include "core/ops/cpu/attention.h"
#include "core/ops/cpu/by_type.h"
#include "core/ops/cpu/linear.h"

namespace cogvx {
namespace {

using cpu::by_type;
using cpu::data;
using cpu::mutable_data;

// Rows a pool task takes at a time; row kernels treat each row alone, so the grouping cannot show.
constexpr int64_t kTaskRows = 16;

// Calls unit(rows, text?) for small runs of rows that are all text or all video.
template <typename F>
void for_row_runs(ThreadPool& pool, int64_t rows, RowSplit split, const F& unit) {
  const int64_t text = std::clamp<int64_t>(split.text_rows - split.first_row, 0, rows);
  const int64_t text_runs = ceil_div(text, kTaskRows);
  pool.run(text_runs + ceil_div(rows - text, kTaskRows), [&](int64_t i) {
    const bool is_text = i < text_runs;
    const int64_t begin = is_text ? i * kTaskRows : text + (i - text_runs) * kTaskRows;
    unit(RowRange{begin, std::min(begin + kTaskRows, is_text ? text : rows)}, is_text);
  });
}

}  // namespace

LinearWeights CpuOps::pack_linear(const at::Tensor& weight_NK, const at::Tensor& bias_N) {
  return cpu::pack_linear(pool_, weight_NK, bias_N);
}

at::Tensor CpuOps::linear(const at::Tensor& x_RK, const LinearWeights& weights,
                          const LinearCall& call) {
  return cpu::linear({pool_, kernels_}, x_RK, weights, call);
}

at::Tensor CpuOps::modulated_norm(const at::Tensor& x_RD, const NormWeights& norm,
                                  const RowVectors& shift, const RowVectors& scale,
                                  RowSplit split) {
  at::Tensor y_RD = at::empty(x_RD.sizes(), x_RD.options());
  by_type(x_RD.scalar_type(), [&](auto type) {
    using T = decltype(type);
    for_row_runs(pool_, x_RD.size(0), split, [&](RowRange rows, bool is_text) {
      const int64_t offset = rows.begin * x_RD.size(1);
      kernels_.norm_rows(cpu::NormRows<T>{.x = data<T>(x_RD) + offset,
                                          .y = mutable_data<T>(y_RD) + offset,
                                          .rows = rows.size(),
                                          .width = x_RD.size(1),
                                          .weight = data<float>(norm.weight),
                                          .bias = data<float>(norm.bias),
                                          .eps = static_cast<float>(norm.eps),
                                          .scale = data<T>(is_text ? scale.text : scale.video),
                                          .shift = data<T>(is_text ? shift.text : shift.video)});
    });
  });
  return y_RD;
}

void CpuOps::gated_add(at::Tensor& x_RD, const at::Tensor& y_RD, const RowVectors& gate,
                       RowSplit split) {
  by_type(x_RD.scalar_type(), [&](auto type) {
    using T = decltype(type);
    for_row_runs(pool_, x_RD.size(0), split, [&](RowRange rows, bool is_text) {
      const int64_t offset = rows.begin * x_RD.size(1);
      kernels_.gated_add_rows(
          cpu::GatedAddRows<T>{.x = mutable_data<T>(x_RD) + offset,
                               .y = data<T>(y_RD) + offset,
                               .gate = data<T>(is_text ? gate.text : gate.video),
                               .rows = rows.size(),
                               .width = x_RD.size(1)});
    });
  });
}

void CpuOps::add_linear(at::Tensor& x_RD, const at::Tensor& y_RK, const LinearWeights& weights,
                        const GatedLinearCall& call) {
  cpu::add_linear({pool_, kernels_}, x_RD, y_RK, weights, call);
}

void CpuOps::prepare_qkv(const at::Tensor& qkv_R3D, const QkPreparation& preparation,
                         RowSplit split, at::Tensor& qkv_H3RE) {
  const int64_t heads = qkv_H3RE.size(0);
  const int64_t width = qkv_H3RE.size(3);
  const int64_t stride = qkv_R3D.size(1);
  by_type(qkv_R3D.scalar_type(), [&](auto type) {
    using T = decltype(type);
    for_row_runs(pool_, qkv_R3D.size(0), split, [&](RowRange rows, bool is_text) {
      const bool rotate = preparation.cos.defined() && !is_text;
      const int64_t table_row = split.first_row + rows.begin - split.text_rows;
      for (int64_t part = 0; part < 3; ++part) {
        const NormWeights& norm = part == 0 ? preparation.norm_q : preparation.norm_k;
        for (int64_t head = 0; head < heads; ++head) {
          kernels_.head_rows(cpu::HeadRows<T>{
              .x = data<T>(qkv_R3D) + rows.begin * stride + (part * heads + head) * width,
              .x_stride = stride,
              .y = mutable_data<T>(qkv_H3RE) + head * qkv_H3RE.stride(0) +
                   part * qkv_H3RE.stride(1) + rows.begin * qkv_H3RE.stride(2),
              .y_stride = qkv_H3RE.stride(2),
              .rows = rows.size(),
              .width = width,
              .weight = part < 2 ? data<float>(norm.weight) : nullptr,
              .bias = part < 2 ? data<float>(norm.bias) : nullptr,
              .eps = static_cast<float>(norm.eps),
              .cos = rotate ? data<float>(preparation.cos) + table_row * width : nullptr,
              .sin = rotate ? data<float>(preparation.sin) + table_row * width : nullptr});
        }
      }
    });
  });
}

void CpuOps::attention(const at::Tensor& qkv_H3NE, std::span<const AttentionRun> runs,
                       at::Tensor& out_HNE) {
  cpu::attention({pool_, kernels_}, qkv_H3NE, runs, out_HNE);
}

at::Tensor CpuOps::rms_norm(const at::Tensor& x_RD, const at::Tensor& weight_D, double eps) {
  const at::Tensor x = x_RD.to(at::kFloat);
  const at::Tensor variance = at::mean(x * x, /*dim=*/{-1}, /*keepdim=*/true);
  return weight_D * (x * at::rsqrt(variance + eps)).to(weight_D.scalar_type());
}

at::Tensor CpuOps::biased_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                    const at::Tensor& bias_HRR) {
  at::Tensor out = at::empty(q.sizes(), q.options());
  const int64_t heads = bias_HRR.size(0);
  const int64_t width = q.size(1) / heads;
  pool_.run(heads, [&](int64_t head) {
    const auto part = [&](const at::Tensor& tensor) {
      return tensor.narrow(1, head * width, width).contiguous();
    };
    const at::Tensor scores = at::matmul(part(q), part(k).t()) + bias_HRR[head];
    const at::Tensor weights = at::softmax(scores, /*dim=*/-1, at::kFloat).to(q.scalar_type());
    out.narrow(1, head * width, width).copy_(at::matmul(weights, part(v)));
  });
  return out;
}

at::Tensor CpuOps::gated_gelu(const at::Tensor& gate_RD, const at::Tensor& up_RD) {
  at::Tensor out = at::empty(gate_RD.sizes(), gate_RD.options());
  pool_.run(ceil_div(gate_RD.size(0), kTaskRows), [&](int64_t i) {
    const int64_t begin = i * kTaskRows;
    const int64_t rows = std::min(kTaskRows, gate_RD.size(0) - begin);
    const at::Tensor u = gate_RD.narrow(0, begin, rows);
    const at::Tensor inner = std::sqrt(2.0 / M_PI) * (u + 0.044715 * at::pow(u, 3.0));
    out.narrow(0, begin, rows)
        .copy_(0.5 * u * (1.0 + at::tanh(inner)) * up_RD.narrow(0, begin, rows));
  });
  return out;
}

}  // namespace cogvx
