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
#include "core/weights/safetensors.h"
#include "core/weights/weight_map.h"

namespace cogvx::test {
namespace {

using Shape = std::vector<int64_t>;

// Names and shapes of diffusers' CogVideoXTransformer3DModel.
class NameList {
 public:
  std::vector<StoredTensor> list;

  void tensor(const std::string& name, const Shape& shape) {
    list.push_back({.name = name, .dtype = "F32", .shape = shape});
  }
  void linear(const std::string& name, int64_t out, int64_t in) {
    tensor(name + ".weight", {out, in});
    tensor(name + ".bias", {out});
  }
  void norm(const std::string& name, int64_t width) {
    tensor(name + ".weight", {width});
    tensor(name + ".bias", {width});
  }
};

std::vector<StoredTensor> transformer_tensors(const TransformerConfig& c) {
  NameList names;
  const int64_t width = c.width();
  names.tensor("patch_embed.proj.weight", {width, c.in_channels, c.patch_size, c.patch_size});
  names.tensor("patch_embed.proj.bias", {width});
  names.linear("patch_embed.text_proj", width, c.text_embed_dim);
  names.linear("time_embedding.linear_1", c.time_embed_dim, width);
  names.linear("time_embedding.linear_2", c.time_embed_dim, c.time_embed_dim);
  for (int64_t i = 0; i < c.num_layers; ++i) {
    const std::string block = "transformer_blocks." + std::to_string(i);
    for (const char* norm : {".norm1", ".norm2"}) {
      names.linear(block + norm + ".linear", 6 * width, c.time_embed_dim);
      names.norm(block + norm + ".norm", width);
    }
    for (const char* part : {".to_q", ".to_k", ".to_v", ".to_out.0"})
      names.linear(block + ".attn1" + part, width, width);
    names.norm(block + ".attn1.norm_q", c.attention_head_dim);
    names.norm(block + ".attn1.norm_k", c.attention_head_dim);
    names.linear(block + ".ff.net.0.proj", 4 * width, width);
    names.linear(block + ".ff.net.2", width, 4 * width);
  }
  names.norm("norm_final", width);
  names.linear("norm_out.linear", 2 * width, c.time_embed_dim);
  names.norm("norm_out.norm", width);
  names.linear("proj_out", c.patch_size * c.patch_size * c.out_channels, width);
  return names.list;
}

// A norm's weight is near 1, another vector small, a matrix keeps the size of what it is fed.
at::Tensor random_values(const StoredTensor& tensor, at::Generator& generator) {
  const at::Tensor draw = draw_normal(tensor.shape, generator, at::kFloat);
  const bool vector = tensor.shape.size() == 1;
  if (vector && tensor.name.ends_with(".weight")) return draw * 0.2 + 1.0;
  if (vector) return draw * 0.2;
  return draw * (1.0 / std::sqrt(static_cast<double>(draw.numel()) /
                                 static_cast<double>(tensor.shape[0])));
}

}  // namespace

TransformerConfig tiny_transformer_config(const TinyConfig& tiny) {
  return {.num_layers = tiny.layers,
          .num_attention_heads = tiny.heads,
          .attention_head_dim = tiny.head_dim,
          .in_channels = 4,
          .out_channels = 4,
          .time_embed_dim = 32,
          .text_embed_dim = 48,
          .sample_height = 20,
          .sample_width = 36,
          .use_rotary_positional_embeddings = tiny.rotary};
}

void write_random_checkpoint(const std::filesystem::path& folder, const TransformerConfig& config,
                             uint64_t seed) {
  const std::vector<StoredTensor> tensors = transformer_tensors(config);
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
      .latents_LCYX = draw_normal({grid.frames, config.in_channels, config.patch_size * grid.height,
                                   config.patch_size * grid.width},
                                  generator, dtype),
      .text_TE = draw_normal({text_rows, config.text_embed_dim}, generator, dtype),
      .timestep = static_cast<int64_t>(999 - seed * 37 % 999)};
}

std::vector<at::Tensor> run_transformer(const std::filesystem::path& folder,
                                        const TransformerConfig& config, at::ScalarType dtype,
                                        int threads, SequenceExchange& exchange,
                                        const std::vector<ForwardInputs>& inputs) {
  ThreadPool pool(threads);
  CpuOps ops(pool);
  WeightMap weights(folder, "diffusion_pytorch_model");
  Transformer transformer(config, weights, dtype, ops);
  std::vector<at::Tensor> predictions;
  for (const ForwardInputs& input : inputs)
    predictions.push_back(
        transformer.forward(input.latents_LCYX, input.text_TE, input.timestep, exchange));
  return predictions;
}

}  // namespace cogvx::test
