#include "core/text/t5_encoder.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "core/base/errors.h"

namespace cogvx {
namespace {

void check_ids(const std::vector<std::vector<int64_t>>& prompt_ids, int64_t vocab_size) {
  for (const std::vector<int64_t>& ids : prompt_ids) {
    for (const int64_t id : ids) {
      if (id >= 0 && id < vocab_size) continue;
      throw DataError("the tokenizer gives the id " + std::to_string(id) +
                      ", the text encoder's vocab_size is " + std::to_string(vocab_size) +
                      "; are these components of one checkpoint?");
    }
  }
}

struct T5Layer {
  at::Tensor attention_norm;
  LinearWeights q, k, v, o;
  at::Tensor feed_forward_norm;
  LinearWeights wi_0, wi_1, wo;
};

std::string layer_prefix(int64_t index) {
  return "encoder.block." + std::to_string(index) + ".layer.";
}

// Reads the next one meanwhile.
T5Layer load_layer(int64_t index, const T5Config& c, WeightMap& weights, at::ScalarType dtype,
                   Ops& ops) {
  const std::string prefix = layer_prefix(index);
  weights.read_ahead(layer_prefix(index + 1));
  const int64_t inner = c.num_heads * c.d_kv;
  const auto linear = [&](const std::string& name, int64_t out, int64_t in) {
    return ops.pack_linear(weights.lend(prefix + name + ".weight", {out, in}, dtype), {});
  };
  const auto norm = [&](const std::string& name) {
    return ops.upload(weights.take(prefix + name + ".layer_norm.weight", {c.d_model}, dtype));
  };
  T5Layer layer;
  layer.attention_norm = norm("0");
  layer.q = linear("0.SelfAttention.q", inner, c.d_model);
  layer.k = linear("0.SelfAttention.k", inner, c.d_model);
  layer.v = linear("0.SelfAttention.v", inner, c.d_model);
  layer.o = linear("0.SelfAttention.o", c.d_model, inner);
  layer.feed_forward_norm = norm("1");
  layer.wi_0 = linear("1.DenseReluDense.wi_0", c.d_ff, c.d_model);
  layer.wi_1 = linear("1.DenseReluDense.wi_1", c.d_ff, c.d_model);
  layer.wo = linear("1.DenseReluDense.wo", c.d_model, c.d_ff);
  return layer;
}

at::Tensor forward_layer(const at::Tensor& x_TD, const T5Layer& layer, const at::Tensor& bias_HTT,
                         double eps, Ops& ops) {
  const at::Tensor n = ops.rms_norm(x_TD, layer.attention_norm, eps);
  const at::Tensor a = ops.biased_attention(ops.linear(n, layer.q), ops.linear(n, layer.k),
                                            ops.linear(n, layer.v), bias_HTT);
  const at::Tensor x = x_TD + ops.linear(a, layer.o);
  const at::Tensor m = ops.rms_norm(x, layer.feed_forward_norm, eps);
  return x +
         ops.linear(ops.gated_gelu(ops.linear(m, layer.wi_0), ops.linear(m, layer.wi_1)), layer.wo);
}

// table [buckets, H] -> bias_HTT
at::Tensor position_bias(const at::Tensor& table, int64_t length, const T5Config& c) {
  std::vector<int64_t> buckets(static_cast<size_t>(length * length));
  for (int64_t query = 0; query < length; ++query) {
    for (int64_t key = 0; key < length; ++key) {
      buckets[query * length + key] = relative_position_bucket(
          key - query, c.relative_attention_num_buckets, c.relative_attention_max_distance);
    }
  }
  const at::Tensor index =
      at::from_blob(buckets.data(), {length * length}, at::TensorOptions().dtype(at::kLong));
  return table.index_select(0, index)
      .view({length, length, c.num_heads})
      .permute({2, 0, 1})
      .contiguous();
}

}  // namespace

int64_t relative_position_bucket(int64_t relative, int64_t num_buckets, int64_t max_distance) {
  const int64_t half = num_buckets / 2;
  const int64_t exact = half / 2;
  const int64_t side = relative > 0 ? half : 0;
  const int64_t distance = std::abs(relative);
  if (distance < exact) return side + distance;
  // In float, as the reference computes it: the exact powers fall in the upper bucket.
  const float ratio =
      std::log(static_cast<float>(distance) / static_cast<float>(exact)) /
      static_cast<float>(std::log(static_cast<double>(max_distance) / static_cast<double>(exact)));
  const auto logarithmic = static_cast<int64_t>(ratio * static_cast<float>(half - exact));
  return side + std::min(half - 1, exact + logarithmic);
}

std::vector<at::Tensor> encode_prompts(const std::vector<std::vector<int64_t>>& prompt_ids,
                                       const T5Config& config, WeightMap& weights,
                                       at::ScalarType dtype, Ops& ops, const Monitor& monitor) {
  check_ids(prompt_ids, config.vocab_size);
  weights.read_ahead(layer_prefix(0));
  const auto length = static_cast<int64_t>(prompt_ids.at(0).size());
  std::vector<at::Tensor> states;
  // Some checkpoints store the tied embedding twice.
  const std::string tied = "encoder.embed_tokens.weight";
  const std::string embedding_name =
      weights.contains("shared.weight") || !weights.contains(tied) ? "shared.weight" : tied;
  if (embedding_name != tied) weights.ignore(tied);
  {
    const at::Tensor embedding =
        weights.lend(embedding_name, {config.vocab_size, config.d_model}, dtype);
    for (const std::vector<int64_t>& ids : prompt_ids) {
      const at::Tensor index = at::from_blob(const_cast<int64_t*>(ids.data()), {length},
                                             at::TensorOptions().dtype(at::kLong));
      states.push_back(ops.upload(embedding.index_select(0, index)));
    }
  }
  const at::Tensor table =
      weights.take("encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
                   {config.relative_attention_num_buckets, config.num_heads}, dtype);
  const at::Tensor bias_HTT = ops.upload(position_bias(table, length, config));
  for (int64_t i = 0; i < config.num_layers; ++i) {
    monitor.progress({Stage::kEncodeText, i, config.num_layers});
    const T5Layer layer = load_layer(i, config, weights, dtype, ops);
    for (at::Tensor& x_TD : states)
      x_TD = forward_layer(x_TD, layer, bias_HTT, config.layer_norm_epsilon, ops);
  }
  const at::Tensor final_norm =
      ops.upload(weights.take("encoder.final_layer_norm.weight", {config.d_model}, dtype));
  for (at::Tensor& x_TD : states)
    x_TD = ops.download(ops.rms_norm(x_TD, final_norm, config.layer_norm_epsilon));
  weights.finish();
  monitor.progress({Stage::kEncodeText, config.num_layers, config.num_layers});
  return states;
}

}  // namespace cogvx
