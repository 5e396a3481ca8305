#include "app/forecast/cpu_speed.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <vector>

#include "app/engine.h"
#include "core/base/memory.h"
#include "core/ops/cpu/cpu_ops.h"
#include "core/transformer/transformer.h"
#include "core/vae/causal.h"

namespace cogvx::app {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kPartSeconds = 0.5;
// So much work is tried at once, for several tries to fit into a part.
constexpr double kTryFlops = 2e10;
constexpr int64_t kChunkFrames = 8;
constexpr int64_t kPlane = 48;

double seconds_of(const std::function<void()>& work) {
  const auto start = Clock::now();
  work();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Of several tries, the one in the middle; the first warms up.
double usual_seconds(const std::function<void()>& work) {
  const auto end = Clock::now() + std::chrono::duration<double>(kPartSeconds);
  work();
  std::vector<double> tries;
  do {
    tries.push_back(seconds_of(work));
  } while (Clock::now() < end);
  std::nth_element(tries.begin(), tries.begin() + tries.size() / 2, tries.end());
  return tries[tries.size() / 2];
}

// Runs the calls of TransformerBlock on numbers that mean nothing.
class LayerTrial {
 public:
  LayerTrial(const TransformerConfig& config, at::ScalarType dtype, Ops& ops)
      : c_(config), options_(at::TensorOptions().dtype(dtype)), ops_(ops) {
    const int64_t d = c_.width();
    modulation_ = linear(6 * d, c_.time_embed_dim);
    block_.to_qkv = linear(3 * d, d);
    block_.to_out = linear(d, d);
    block_.ff_in = linear(4 * d, d);
    block_.ff_out = linear(d, 4 * d);
    block_.norm_q = block_.norm_k = norm(c_.attention_head_dim);
    block_.norm1.norm = norm(d);
  }

  void modulate() {
    const at::Tensor time = filled({1, c_.time_embed_dim});
    for (int i = 0; i < 2; ++i) ops_.linear(time, modulation_, {});
  }

  void rows(int64_t count) {
    const int64_t d = c_.width();
    const at::Tensor vector = filled({d});
    const RowVectors vectors{vector, vector};
    const RowSplit split{.first_row = 0, .text_rows = std::min<int64_t>(count, 64)};
    at::Tensor x = filled({count, d});
    at::Tensor a = ops_.modulated_norm(x, block_.norm1.norm, vectors, vectors, split);
    const at::Tensor qkv = ops_.linear(a, block_.to_qkv, {});
    at::Tensor send =
        at::empty({c_.num_attention_heads, 3, count, c_.attention_head_dim}, options_);
    ops_.prepare_qkv(qkv, {block_.norm_q, block_.norm_k, {}, {}}, split, send);
    ops_.add_linear(x, a, block_.to_out, {{}, vectors, split});
    a = ops_.modulated_norm(x, block_.norm1.norm, vectors, vectors, split);
    a = ops_.linear(a, block_.ff_in, {.activation = Activation::kGeluTanh});
    ops_.add_linear(x, a, block_.ff_out, {{}, vectors, split});
  }

 private:
  at::Tensor filled(std::vector<int64_t> sizes) const { return at::full(sizes, 0.01, options_); }
  LinearWeights linear(int64_t out, int64_t in) {
    return ops_.pack_linear(filled({out, in}), filled({out}));
  }
  static NormWeights norm(int64_t width) {
    return {.weight = at::full({width}, 1.0), .bias = at::full({width}, 0.0)};
  }

  const TransformerConfig& c_;
  at::TensorOptions options_;
  Ops& ops_;
  LinearWeights modulation_;
  TransformerBlock block_;
};

// Of one row of one head, over all keys.
double query_seconds(const TransformerConfig& c, const CpuLoad& load, int threads, Ops& ops) {
  const int64_t tiles_there = ceil_div(load.rows, kBlockRows);
  const double tile_flops =
      4.0 * static_cast<double>(kBlockRows * load.rows * c.attention_head_dim);
  const auto wanted = static_cast<int64_t>(kTryFlops / tile_flops);
  // As many tiles for every thread.
  const int64_t heads = std::clamp<int64_t>(wanted / tiles_there, 1, c.num_attention_heads);
  const int64_t tiles =
      std::min(tiles_there, std::max<int64_t>(threads, wanted / heads / threads * threads));
  const at::TensorOptions options = at::TensorOptions().dtype(load.dtype);
  const at::Tensor qkv = at::full({heads, 3, load.rows, c.attention_head_dim}, 0.01, options);
  at::Tensor out = at::empty({heads, load.rows, c.attention_head_dim}, options);
  std::vector<AttentionRun> runs;
  for (int64_t head = 0; head < heads; ++head) runs.push_back({head, 0, tiles});
  const double seconds = usual_seconds([&] { ops.attention(qkv, runs, out); });
  return seconds / static_cast<double>(heads * std::min(load.rows, tiles * kBlockRows));
}

// Of a norm and a convolution of the widths that most of decoding has.
double convolution_flops(const VaeConfig& vae, at::ScalarType dtype, Ops& ops) {
  const at::TensorOptions options = at::TensorOptions().dtype(dtype);
  double flops = 0, seconds = 0;
  for (const int64_t width : {vae.block_out_channels[0], vae.block_out_channels[1]}) {
    const ConvWeights weights =
        ops.pack_convolution(at::full({width, width, 3, 3, 3}, 0.01, options),
                             at::full({width}, 0.0, options), /*stride=*/1);
    // As a convolution leaves it.
    at::Tensor x =
        ops.convolution({at::full({width, kChunkFrames, kPlane, kPlane}, 0.01, options)}, weights);
    at::Tensor y = frames_like(x, kChunkFrames);
    const NormWeights norm{.weight = at::full({width}, 1.0), .bias = at::full({width}, 0.0)};
    const NormSiluCall call{
        .norm = norm, .groups = vae.norm_num_groups, .scale_Ctyx = {}, .shift_Ctyx = {}};
    seconds += usual_seconds([&] {
      ops.norm_silu(x, call, y);
      ops.convolution({.x_CTYX = y, .sum_CTYX = x}, weights);
    });
    flops += 2.0 * 27 * static_cast<double>(width * width * kChunkFrames * kPlane * kPlane);
  }
  return flops / seconds;
}

}  // namespace

CpuSpeed measure_cpu(const Checkpoint& checkpoint, const CpuLoad& load) {
  const TransformerConfig& c = checkpoint.transformer;
  // From then on small results reuse each other's memory, as in a run that has loaded its weights.
  { const LoadingAllocations loaded; }
  // Beyond the cores, threads only take turns.
  const int threads = std::min(load.threads * load.processes, available_cores());
  ThreadPool pool(threads);
  CpuOps ops(pool, chosen_cpu_path());
  LayerTrial layer(c, load.dtype, ops);
  const auto d = static_cast<double>(c.width());
  const auto fitting = static_cast<int64_t>(kTryFlops / (24 * d * d)) / kBlockRows * kBlockRows;
  const int64_t rows = std::clamp(fitting, std::min(load.own_rows, threads * kBlockRows),
                                  std::max<int64_t>(load.own_rows, 1));
  CpuSpeed speed;
  speed.layer_seconds = load.processes * usual_seconds([&] { layer.modulate(); });
  speed.layer_row_seconds = load.processes * usual_seconds([&] { layer.rows(rows); }) /
                            static_cast<double>(std::max<int64_t>(rows, 1));
  speed.query_seconds = load.processes * query_seconds(c, load, threads, ops);
  speed.convolution_flops = convolution_flops(checkpoint.vae, load.dtype, ops) / load.processes;
  return speed;
}

}  // namespace cogvx::app
