#include <ATen/ops/full.h>

#include "tests/core/ops/cuda/kernel_cases.h"

namespace cogvx {
namespace {

using namespace test;
using cuda::RowKinds;

RowSplit split_of(RowKinds kinds) {
  return {.first_row = kinds.first_row, .text_rows = kinds.text_rows};
}

std::string title(RowShape shape, RowKinds kinds) {
  return std::to_string(shape.rows) + " rows of " + std::to_string(shape.width) + " from " +
         std::to_string(kinds.first_row) + ", text " + std::to_string(kinds.text_rows);
}

TEST_P(CudaKernels, ModulatedNormIsTheCpusBitForBit) {
  for (const RowShape shape : row_shapes()) {
    const at::Tensor x = own("x", {shape.rows, shape.width}, 0.5, 2);
    const NormWeights norm{numbers("weight", {shape.width}, at::kFloat, 1, 0.3),
                           numbers("bias", {shape.width}), 1e-5};
    const RowVectors scale{own("s.t", {shape.width}), own("s.v", {shape.width})};
    const RowVectors shift{own("h.t", {shape.width}), own("h.v", {shape.width})};
    for (const RowKinds kinds : row_kinds(shape.rows)) {
      if (shape.rows > 1000 && kinds.first_row + kinds.text_rows != 226 + 192) continue;
      SCOPED_TRACE(title(shape, kinds));
      at::Tensor y = at::empty(x.sizes(), x.options());
      GridWatch watch;
      watch_input(watch, "x", x);
      watch_output(watch, "y", y);
      for (const at::Tensor& t :
           {norm.weight, norm.bias, scale.text, scale.video, shift.text, shift.video}) {
        watch_input(watch, "a vector", t);
      }
      cuda::ModulatedNormCall call = cuda::norm_call(x, norm, shift, scale, split_of(kinds));
      call.y_RD = y.mutable_data_ptr();
      watch.run(call);
      EXPECT_TRUE(watch.clean()) << watch.report();
      const at::Tensor wanted =
          ops_.modulated_norm(for_cpu(x), norm, {for_cpu(shift.text), for_cpu(shift.video)},
                              {for_cpu(scale.text), for_cpu(scale.video)}, split_of(kinds));
      EXPECT_TRUE(equal_bits(y, wanted.to(GetParam())));
    }
  }
}

TEST_P(CudaKernels, ModulatedNormWithoutVectorsIsThePlainNorm) {
  const at::Tensor x = own("x", {65, 480}, 0, 0.01);
  const NormWeights norm{numbers("weight", {480}, at::kFloat, 1, 0.3), numbers("bias", {480}),
                         1e-3};
  at::Tensor y = at::empty(x.sizes(), x.options());
  cuda::ModulatedNormCall call = cuda::norm_call(x, norm, {}, {}, {});
  call.y_RD = y.mutable_data_ptr();
  EXPECT_TRUE(run_on_host(call));
  const at::Tensor wanted = ops_.modulated_norm(for_cpu(x), norm, {}, {}, {});
  EXPECT_TRUE(equal_bits(y, wanted.to(GetParam())));
}

TEST_P(CudaKernels, GatedAddIsTheCpusBitForBit) {
  for (const RowShape shape : row_shapes()) {
    const at::Tensor y = own("y", {shape.rows, shape.width});
    const RowVectors gate{own("g.t", {shape.width}), own("g.v", {shape.width})};
    for (const RowKinds kinds : row_kinds(shape.rows)) {
      if (shape.rows > 1000 && kinds.first_row + kinds.text_rows != 226 + 192) continue;
      SCOPED_TRACE(title(shape, kinds));
      const at::Tensor x = own("x", {shape.rows, shape.width});
      at::Tensor wanted = x.to(cpu_dtype(GetParam()), /*non_blocking=*/false, /*copy=*/true);
      ops_.gated_add(wanted, for_cpu(y), {for_cpu(gate.text), for_cpu(gate.video)},
                     split_of(kinds));
      GridWatch watch;
      watch_output(watch, "x", x);
      for (const at::Tensor& t : {y, gate.text, gate.video}) watch_input(watch, "y or a gate", t);
      watch.run(cuda::gate_call(x, y, gate, split_of(kinds)));
      EXPECT_TRUE(watch.clean()) << watch.report();
      EXPECT_TRUE(equal_bits(x, wanted.to(GetParam())));
    }
  }
}

struct QkvShape {
  int64_t rows;
  int64_t heads;
  int64_t width;
};

// 46 shapes: 2B, 5B, demo, tiny (all heads and a rank's share of them) and odd ones.
std::vector<QkvShape> qkv_shapes() {
  std::vector<QkvShape> shapes;
  const std::vector<std::pair<int64_t, int64_t>> models{
      {30, 64}, {48, 64}, {3, 64}, {30, 16}, {5, 64}, {7, 16}, {1, 2}, {6, 34}, {2, 256}};
  for (const auto& [heads, width] : models) {
    for (const int64_t rows : {1, 2, 63, 64, 65}) shapes.push_back({rows, heads, width});
  }
  shapes.push_back({17776, 3, 64});
  return shapes;
}

// A send buffer of `rows` rows and room for others before and behind: rows outside, heads inside.
struct SendBuffer {
  at::Tensor memory;  // [rows + 3, heads, 3, width]
  at::Tensor view_H3RE;
  std::vector<uint8_t> wanted;
};

SendBuffer send_buffer(QkvShape s, at::ScalarType dtype) {
  SendBuffer buffer;
  buffer.memory = at::full({s.rows + 3, s.heads, 3, s.width}, 7, dtype);
  buffer.view_H3RE = buffer.memory.narrow(0, 1, s.rows).permute({1, 2, 0, 3});
  const int64_t row = s.heads * 3 * s.width;
  buffer.wanted.assign(static_cast<size_t>(buffer.memory.numel()), 0);
  std::fill(buffer.wanted.begin() + row, buffer.wanted.begin() + row * (s.rows + 1), uint8_t{1});
  return buffer;
}

QkPreparation preparation(int64_t width, int64_t video_rows, bool rotate) {
  const auto norm = [&](const std::string& name) {
    return NormWeights{numbers(name + ".weight", {width}, at::kFloat, 1, 0.2),
                       numbers(name + ".bias", {width}), name == "q" ? 1e-6 : 1e-5};
  };
  QkPreparation p{.norm_q = norm("q"), .norm_k = norm("k")};
  if (rotate) {
    p.cos = numbers("cos", {video_rows, width});
    p.sin = numbers("sin", {video_rows, width});
  }
  return p;
}

TEST_P(CudaKernels, PrepareQkvIsTheCpusBitForBit) {
  for (const QkvShape s : qkv_shapes()) {
    const at::Tensor qkv = own("qkv", {s.rows, 3 * s.heads * s.width}, 0.2);
    for (const RowKinds kinds : row_kinds(s.rows)) {
      const bool at_seam = kinds.first_row == 192;
      if ((s.rows > 1000 || s.heads >= 30) && !at_seam && kinds.first_row != 256) continue;
      for (const bool rotate : {false, true}) {
        if (!rotate && !at_seam) continue;
        SCOPED_TRACE(title({s.rows, s.heads * s.width}, kinds));
        // No row of the tables more than the call may read, so that one too many is seen.
        const int64_t video = std::max<int64_t>(kinds.first_row + s.rows - kinds.text_rows, 0);
        const QkPreparation p = preparation(s.width, video, rotate);
        SendBuffer buffer = send_buffer(s, GetParam());
        GridWatch watch;
        watch_input(watch, "qkv", qkv);
        watch_output(watch, "send", buffer.memory, buffer.wanted);
        for (const at::Tensor& t :
             {p.norm_q.weight, p.norm_q.bias, p.norm_k.weight, p.norm_k.bias, p.cos, p.sin}) {
          watch_input(watch, "a weight or a position", t);
        }
        const bool rotated = rotate && video > 0;
        watch.run(cuda::qkv_call(
            qkv,
            {p.norm_q, p.norm_k, rotated ? p.cos : at::Tensor(), rotated ? p.sin : at::Tensor()},
            split_of(kinds), buffer.view_H3RE));
        EXPECT_TRUE(watch.clean()) << watch.report();
        at::Tensor wanted =
            at::empty({s.heads, 3, s.rows, s.width}, qkv.options().dtype(cpu_dtype(GetParam())));
        ops_.prepare_qkv(for_cpu(qkv), p, split_of(kinds), wanted);
        EXPECT_TRUE(equal_bits(buffer.view_H3RE, wanted.to(GetParam())));
      }
    }
  }
}

TEST_P(CudaKernels, NoRowsAreNoWork) {
  const cuda::Storage storage = cuda::storage_of(GetParam());
  EXPECT_TRUE(run_on_host(cuda::ModulatedNormCall{.storage = storage, .width = 192}));
  EXPECT_TRUE(run_on_host(cuda::GatedAddCall{.storage = storage, .width = 192}));
  EXPECT_TRUE(run_on_host(cuda::PrepareQkvCall{.storage = storage, .heads = 3, .width = 64}));
}

INSTANTIATE_TEST_SUITE_P(Rows, CudaKernels, testing::Values(at::kFloat, at::kBFloat16, at::kHalf),
                         dtype_label);

}  // namespace
}  // namespace cogvx
