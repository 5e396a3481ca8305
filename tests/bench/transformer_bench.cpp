#include <ATen/ops/randn.h>
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <memory>
#include <stdexcept>

#include "core/base/thread_pool.h"
#include "core/ops/cpu/cpu_ops.h"
#include "core/transformer/transformer.h"
#include "core/weights/checkpoint.h"

// One forward pass of a few layers of real geometry at 480x720x5 by 1 and 2 threads of our pool.
// The checkpoint is made by scripts/make_random_checkpoint.py and named by COGVX_BENCH_CHECKPOINT
// (scripts/bench.sh does both).
namespace cogvx {
namespace {

void forward(benchmark::State& state, at::ScalarType dtype) {
  const char* folder = std::getenv("COGVX_BENCH_CHECKPOINT");
  if (folder == nullptr)
    throw std::runtime_error("set COGVX_BENCH_CHECKPOINT; scripts/bench.sh does");
  ThreadPool pool(static_cast<int>(state.range(0)));
  CpuOps ops(pool);
  const Checkpoint checkpoint = open_checkpoint(folder);
  WeightMap weights(checkpoint.dir / "transformer", "diffusion_pytorch_model");
  Transformer transformer(checkpoint.transformer, weights, dtype, ops);
  const at::TensorOptions options = at::TensorOptions().dtype(dtype);
  const at::Tensor latents = at::randn({2, 16, 60, 90}, options);
  const at::Tensor text = at::randn({226, checkpoint.transformer.text_embed_dim}, options);
  IdentityExchange exchange;
  for (auto iteration : state) {
    benchmark::DoNotOptimize(transformer.forward(latents, text, /*timestep=*/999, exchange));
  }
  const double rows = 226 + 2 * 30 * 45;
  const double width = static_cast<double>(checkpoint.transformer.width());
  const double flops = static_cast<double>(checkpoint.transformer.num_layers) *
                       (24 * rows * width * width + 4 * rows * rows * width);
  state.counters["GFLOP/s"] =
      benchmark::Counter(flops / 1e9, benchmark::Counter::kIsIterationInvariantRate);
}

BENCHMARK_CAPTURE(forward, fp32, at::kFloat)
    ->Arg(1)
    ->Arg(2)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(forward, bf16, at::kBFloat16)
    ->Arg(1)
    ->Arg(2)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace cogvx

BENCHMARK_MAIN();
