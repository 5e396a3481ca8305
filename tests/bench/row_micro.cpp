#include <ATen/ops/empty.h>

#include <vector>

#include "tests/bench/micro_support.h"

// What lies between the matrix products of a block; memory limits it, so it is told in bytes.
namespace cogvx::bench {
namespace {

constexpr RowSplit kSplit{.first_row = 0, .text_rows = kTextRows};

NormWeights norm_weights(int64_t width) {
  return {bench_input("norm.weight", {width}, at::kFloat),
          bench_input("norm.bias", {width}, at::kFloat)};
}

RowVectors row_vectors(const char* text, const char* video, at::ScalarType dtype) {
  return {bench_input(text, {kWidth}, dtype), bench_input(video, {kWidth}, dtype)};
}

void norm_and_modulate(benchmark::State& state, at::ScalarType dtype) {
  MicroOps micro;
  const at::Tensor x_RD = bench_input("x", {kRows, kWidth}, dtype);
  const NormWeights norm = norm_weights(kWidth);
  const RowVectors shift = row_vectors("shift.text", "shift.video", dtype);
  const RowVectors scale = row_vectors("scale.text", "scale.video", dtype);
  for (auto iteration : state)
    benchmark::DoNotOptimize(micro.ops.modulated_norm(x_RD, norm, shift, scale, kSplit));
  count_bytes(state, 2.0 * static_cast<double>(x_RD.nbytes()));
}
COGVX_MICRO(norm_and_modulate);

void gated_add(benchmark::State& state, at::ScalarType dtype) {
  MicroOps micro;
  at::Tensor x_RD = bench_input("x", {kRows, kWidth}, dtype);
  // Nothing is added, or the sum of all iterations would leave the range.
  const at::Tensor y_RD = bench_input("y", {kRows, kWidth}, dtype).zero_();
  const RowVectors gate = row_vectors("gate.text", "gate.video", dtype);
  for (auto iteration : state) {
    micro.ops.gated_add(x_RD, y_RD, gate, kSplit);
    benchmark::ClobberMemory();
  }
  count_bytes(state, 3.0 * static_cast<double>(x_RD.nbytes()));
}
COGVX_MICRO(gated_add);

// QK-norm, rotary positions (of 5B's kind, at 2B's width) and the pack into the send layout.
void qk_norm_rotary_pack(benchmark::State& state, at::ScalarType dtype) {
  MicroOps micro;
  const at::Tensor qkv_R3D = bench_input("qkv", {kRows, 3 * kWidth}, dtype);
  const QkPreparation preparation{norm_weights(kHeadDim), norm_weights(kHeadDim),
                                  bench_input("cos", {kRows - kTextRows, kHeadDim}, at::kFloat),
                                  bench_input("sin", {kRows - kTextRows, kHeadDim}, at::kFloat)};
  at::Tensor send_H3RE = at::empty({kHeads, 3, kRows, kHeadDim}, qkv_R3D.options());
  for (auto iteration : state) {
    micro.ops.prepare_qkv(qkv_R3D, preparation, kSplit, send_H3RE);
    benchmark::ClobberMemory();
  }
  count_bytes(state, 2.0 * static_cast<double>(qkv_R3D.nbytes()));
}
COGVX_MICRO(qk_norm_rotary_pack);

// The decoder's GroupNorm with the latents' scale and shift, in place, as between convolutions.
void spatial_norm_silu(benchmark::State& state, at::ScalarType dtype) {
  MicroOps micro;
  constexpr int64_t kChannels = 256, kFrames = 4, kHeight = 60, kColumns = 88;
  at::Tensor x_CTYX =
      bench_input("x", {kFrames, kHeight, kColumns, kChannels}, dtype).permute({3, 0, 1, 2});
  const NormWeights norm = norm_weights(kChannels);
  const std::vector<int64_t> latents{kChannels, 1, kHeight / 4, kColumns / 4};
  const NormSiluCall call{.norm = norm,
                          .groups = 32,
                          .scale_Ctyx = bench_input("scale", latents, dtype),
                          .shift_Ctyx = bench_input("shift", latents, dtype)};
  for (auto iteration : state) {
    micro.ops.norm_silu(x_CTYX, call, x_CTYX);
    benchmark::ClobberMemory();
  }
  // Read for the sums, then read and written.
  count_bytes(state, 3.0 * static_cast<double>(x_CTYX.nbytes()));
}
COGVX_MICRO(spatial_norm_silu);

}  // namespace
}  // namespace cogvx::bench
