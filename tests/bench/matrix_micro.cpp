#include <ATen/ops/empty.h>

#include <vector>

#include "tests/bench/micro_support.h"

namespace cogvx::bench {
namespace {

void run_linear(benchmark::State& state, at::ScalarType dtype, int64_t in, int64_t out,
                Activation activation) {
  MicroOps micro;
  const LinearWeights weights = micro.ops.pack_linear(bench_input("weight", {out, in}, dtype),
                                                      bench_input("bias", {out}, dtype));
  const at::Tensor x_RK = bench_input("x", {kRows, in}, dtype);
  const LinearCall call{.shared = {0, kRows}, .activation = activation};
  for (auto iteration : state) benchmark::DoNotOptimize(micro.ops.linear(x_RK, weights, call));
  count_flops(state, 2.0 * static_cast<double>(kRows * in * out));
}

void linear_qkv(benchmark::State& state, at::ScalarType dtype) {
  run_linear(state, dtype, kWidth, 3 * kWidth, Activation::kNone);
}
void linear_out(benchmark::State& state, at::ScalarType dtype) {
  run_linear(state, dtype, kWidth, kWidth, Activation::kNone);
}
void linear_ff_in_gelu(benchmark::State& state, at::ScalarType dtype) {
  run_linear(state, dtype, kWidth, 4 * kWidth, Activation::kGeluTanh);
}
void linear_ff_out(benchmark::State& state, at::ScalarType dtype) {
  run_linear(state, dtype, 4 * kWidth, kWidth, Activation::kNone);
}
COGVX_MICRO(linear_qkv);
COGVX_MICRO(linear_out);
COGVX_MICRO(linear_ff_in_gelu);
COGVX_MICRO(linear_ff_out);

// What loading does with a weight that has been read.
void pack_linear(benchmark::State& state, at::ScalarType dtype) {
  MicroOps micro;
  const at::Tensor weight_NK = bench_input("weight", {4 * kWidth, kWidth}, dtype);
  const at::Tensor bias_N = bench_input("bias", {4 * kWidth}, dtype);
  for (auto iteration : state) benchmark::DoNotOptimize(micro.ops.pack_linear(weight_NK, bias_N));
  count_bytes(state, 2.0 * static_cast<double>(weight_NK.nbytes()));
}
COGVX_MICRO(pack_linear);

// Two heads, every query tile of them.
void attention(benchmark::State& state, at::ScalarType dtype) {
  MicroOps micro;
  constexpr int64_t kSomeHeads = 2;
  const at::Tensor qkv_H3NE = bench_input("qkv", {kSomeHeads, 3, kRows, kHeadDim}, dtype);
  at::Tensor out_HNE = at::empty({kSomeHeads, kRows, kHeadDim}, qkv_H3NE.options());
  std::vector<AttentionRun> runs;
  for (int64_t head = 0; head < kSomeHeads; ++head)
    runs.push_back({head, 0, ceil_div(kRows, kBlockRows)});
  for (auto iteration : state) {
    micro.ops.attention(qkv_H3NE, runs, out_HNE);
    benchmark::ClobberMemory();
  }
  count_flops(state, 4.0 * static_cast<double>(kSomeHeads * kRows * kRows * kHeadDim));
  count_exponentials(state, static_cast<double>(kSomeHeads * kRows * kRows));
}
COGVX_MICRO(attention);

// A 3x3x3 convolution of the decoder: two latent frames' worth behind two of the chunk before.
void run_convolution(benchmark::State& state, at::ScalarType dtype, int64_t channels,
                     int64_t height, int64_t width) {
  MicroOps micro;
  constexpr int64_t kFrames = 4, kTaps = 27;
  const ConvWeights weights =
      micro.ops.pack_convolution(bench_input("weight", {channels, channels, 3, 3, 3}, dtype),
                                 bench_input("bias", {channels}, dtype), /*stride=*/1);
  const ConvCall call{.x_CTYX = bench_input("x", {channels, kFrames, height, width}, dtype),
                      .history_CTYX = bench_input("history", {channels, 2, height, width}, dtype)};
  for (auto iteration : state) benchmark::DoNotOptimize(micro.ops.convolution(call, weights));
  count_flops(state, 2.0 * kTaps * static_cast<double>(channels * channels) * kFrames *
                         static_cast<double>(height * width));
}
void convolution_256_channels(benchmark::State& state, at::ScalarType dtype) {
  run_convolution(state, dtype, /*channels=*/256, /*height=*/60, /*width=*/88);
}
void convolution_512_channels(benchmark::State& state, at::ScalarType dtype) {
  run_convolution(state, dtype, /*channels=*/512, /*height=*/15, /*width=*/22);
}
COGVX_MICRO(convolution_256_channels);
COGVX_MICRO(convolution_512_channels);

}  // namespace
}  // namespace cogvx::bench
