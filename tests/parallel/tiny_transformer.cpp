#include "tests/parallel/tiny_transformer.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/add.h>
#include <ATen/ops/mul.h>

#include <cmath>
#include <fstream>
#include <string>
#include <vector>

#include "core/base/random.h"
#include "core/base/thread_pool.h"
#include "core/ops/cpu/cpu_ops.h"
#include "core/transformer/tensor_list.h"
#include "core/weights/safetensors.h"
#include "core/weights/weight_map.h"
#include "tests/support/cpu_path.h"

namespace cogvx::test {
namespace {

std::vector<StoredTensor> transformer_file(const TransformerConfig& config) {
  std::vector<StoredTensor> tensors;
  for (const auto& [name, shape] : transformer_tensors(config))
    tensors.push_back({.name = name, .dtype = "F32", .shape = shape});
  return tensors;
}

// A norm's weight is near 1, another vector small, a matrix keeps the size of what it is fed.
at::Tensor random_values(const StoredTensor& tensor, at::Generator& generator) {
  const at::Tensor draw = draw_normal(tensor.shape, generator, at::kFloat);
  const bool vector = tensor.shape.size() == 1;
  if (vector && tensor.name.ends_with(".weight")) return draw * 0.2 + 1.0;
  if (vector) return draw * 0.2;
  if (tensor.name == kLearnedPositions) return draw;
  return draw * (1.0 / std::sqrt(static_cast<double>(draw.numel()) /
                                 static_cast<double>(tensor.shape[0])));
}

}  // namespace

TransformerConfig tiny_transformer_config(const TinyConfig& tiny) {
  return {.num_layers = tiny.layers,
          .num_attention_heads = tiny.heads,
          .attention_head_dim = tiny.head_dim,
          .in_channels = tiny.conditioned ? 8 : 4,
          .out_channels = 4,
          .patch_size_t = tiny.patch_size_t,
          .ofs_embed_dim = tiny.ofs ? 32 : 0,
          .time_embed_dim = 32,
          .text_embed_dim = 48,
          .max_text_seq_length = 37,
          .sample_height = 20,
          .sample_width = 36,
          .sample_frames = 9,
          .use_rotary_positional_embeddings = tiny.rotary,
          .use_learned_positional_embeddings = tiny.learned};
}

void write_random_checkpoint(const std::filesystem::path& folder, const TransformerConfig& config,
                             uint64_t seed) {
  const std::vector<StoredTensor> tensors = transformer_file(config);
  at::Generator generator = make_generator(seed);
  std::ofstream file(folder / "diffusion_pytorch_model.safetensors", std::ios::binary);
  file << safetensors_prefix(tensors, {});
  for (const StoredTensor& tensor : tensors) {
    const at::Tensor values = random_values(tensor, generator);
    file.write(static_cast<const char*>(values.const_data_ptr()),
               static_cast<std::streamsize>(values.nbytes()));
  }
}

ForwardInputs random_inputs(const TransformerConfig& config, PatchGrid grid, int64_t text_rows,
                            at::ScalarType dtype, uint64_t seed) {
  at::Generator generator = make_generator(seed);
  return {
      .latents_LCYX = draw_normal({grid.frames * config.patch_frames(), config.in_channels,
                                   config.patch_size * grid.height, config.patch_size * grid.width},
                                  generator, dtype),
      .text_TE = draw_normal({text_rows, config.text_embed_dim}, generator, dtype),
      .timestep = static_cast<int64_t>(999 - seed * 37 % 999)};
}

std::vector<at::Tensor> run_transformer(const std::filesystem::path& folder,
                                        const TransformerConfig& config, at::ScalarType dtype,
                                        int threads, SequenceExchange& exchange,
                                        const std::vector<ForwardInputs>& inputs) {
  ThreadPool pool(threads);
  CpuOps ops(pool, test::cpu_path());
  WeightMap weights(folder, "diffusion_pytorch_model");
  Transformer transformer(config, weights, dtype, ops);
  std::vector<at::Tensor> predictions;
  for (const ForwardInputs& input : inputs)
    predictions.push_back(
        transformer.forward(input.latents_LCYX, input.text_TE, input.timestep, exchange));
  return predictions;
}

}  // namespace cogvx::test
