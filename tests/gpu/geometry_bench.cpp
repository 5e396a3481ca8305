// Times the parts of a step at a real model's geometry, on the GPU's Ops: a forward pass of the
// transformer and the decoding of one tile, with random weights of fewer layers.
//   geometry_bench CHECKPOINT [--steps N] [--latent FRAMESxHEIGHTxWIDTH] [--attention NAME]
//                  [--tile FRAMESxHEIGHTxWIDTH]   (all in latent units; 0x0x0: leave it out)
#include <ATen/ATen.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <exception>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "core/transformer/transformer.h"
#include "core/vae/tiles.h"
#include "core/weights/checkpoint.h"
#include "tests/gpu/gpu_ops.h"

namespace cogvx {
namespace {

using namespace test;
using nlohmann::json;

constexpr at::ScalarType kDtype = at::kBFloat16;

struct Size {
  int64_t frames = 0;
  int64_t height = 0;
  int64_t width = 0;
};

Size parse_size(const std::string& text) {
  Size size;
  int end = 0;
  if (std::sscanf(text.c_str(), "%ldx%ldx%ld%n", &size.frames, &size.height, &size.width, &end) !=
          3 ||
      end != static_cast<int>(text.size()))
    throw std::runtime_error("size is '" + text + "', wanted FRAMESxHEIGHTxWIDTH");
  return size;
}

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double transformer_flops(const TransformerConfig& config, int64_t joint_rows) {
  const auto rows = static_cast<double>(joint_rows), width = static_cast<double>(config.width());
  return static_cast<double>(config.num_layers) *
         (24 * rows * width * width + 4 * rows * rows * width);
}

void time_transformer(const Checkpoint& checkpoint, const Size& size, AttentionKernel attention,
                      int steps) {
  const TransformerConfig& config = checkpoint.transformer;
  const int64_t text_rows = config.max_text_seq_length;
  const int64_t rows = text_rows + size.frames * size.height * size.width / 4;
  const auto ops = make_gpu_ops({.attention = attention});
  WeightMap weights(checkpoint.dir / "transformer", "diffusion_pytorch_model");
  Transformer transformer(config, weights, kDtype, *ops);
  const at::TensorOptions options = at::TensorOptions().dtype(kDtype);
  const at::Tensor latents =
      at::randn({size.frames, config.in_channels, size.height, size.width}, options);
  const at::Tensor text = at::randn({text_rows, config.text_embed_dim}, options);
  IdentityExchange exchange;
  // The result comes to the host, so that a step has ended when forward returns.
  const auto step = [&] {
    const at::Tensor made = transformer.forward(latents, text, /*timestep=*/999, exchange);
    if (!made.isfinite().all().item<bool>()) throw std::runtime_error("a step is not finite");
  };
  const double first = seconds_of(step);
  ops->take_peak_bytes();
  double best = 0, sum = 0;
  for (int i = 0; i < steps; ++i) {
    const double seconds = seconds_of(step);
    best = i == 0 ? seconds : std::min(best, seconds);
    sum += seconds;
  }
  report({{"check", "step"},
          {"heads", config.num_attention_heads},
          {"layers", config.num_layers},
          {"rows", rows},
          {"dtype", "bf16"},
          {"attention", name_of(attention)},
          {"ms_first", 1e3 * first},
          {"ms_best", 1e3 * best},
          {"ms_mean", 1e3 * sum / steps},
          {"gflops_per_second", transformer_flops(config, rows) / best / 1e9},
          {"peak_device_bytes", ops->take_peak_bytes()}});
}

void time_tile(const Checkpoint& checkpoint, const Size& size) {
  const auto ops = make_gpu_ops({});
  WeightMap weights(checkpoint.dir / "vae", "diffusion_pytorch_model");
  const VaeDecoder decoder(checkpoint.vae, weights, kDtype, *ops);
  const at::Tensor latents =
      at::randn({checkpoint.vae.latent_channels, size.frames, size.height, size.width},
                at::TensorOptions().dtype(kDtype));
  at::Tensor made;
  const auto decode = [&] {
    made = decode_tile(decoder, latents, {0, 0, size.height, size.width});
  };
  const double first = seconds_of(decode);
  ops->take_peak_bytes();
  const double second = seconds_of(decode);
  if (!made.isfinite().all().item<bool>()) throw std::runtime_error("a tile is not finite");
  report({{"check", "tile"},
          {"height", made.size(2)},
          {"width", made.size(3)},
          {"frames", made.size(1)},
          {"dtype", "bf16"},
          {"ms_first", 1e3 * first},
          {"ms", 1e3 * second},
          {"peak_device_bytes", ops->take_peak_bytes()}});
}

void run(const std::string& folder, std::map<std::string, std::string> options) {
  const Checkpoint checkpoint = open_checkpoint(folder);
  const Size latent = parse_size(options["--latent"]), tile = parse_size(options["--tile"]);
  if (latent.frames > 0) {
    time_transformer(checkpoint, latent, attention_named(options["--attention"]),
                     std::stoi(options["--steps"]));
  }
  if (tile.frames > 0) time_tile(checkpoint, tile);
}

}  // namespace
}  // namespace cogvx

int main(int count, char** arguments) {
  std::map<std::string, std::string> options = {
      {"--steps", "3"}, {"--latent", "13x60x90"}, {"--attention", "flash"}, {"--tile", "13x30x45"}};
  try {
    if (count < 2) throw std::runtime_error("wanted a checkpoint");
    for (int i = 2; i < count; i += 2) {
      const auto option = options.find(arguments[i]);
      if (option == options.end() || i + 1 == count)
        throw std::runtime_error(std::string("unknown argument or no value: ") + arguments[i]);
      option->second = arguments[i + 1];
    }
    cogvx::run(arguments[1], options);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "geometry_bench: %s\n", error.what());
    return 1;
  }
}
