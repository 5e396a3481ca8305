#include "core/weights/expected_tensors.h"

#include <string>

namespace cogvx {
namespace {

using Shape = std::vector<int64_t>;

// Collects the tensors of one component.
class Listing {
 public:
  void add(const std::string& name, Shape shape) { tensors_[name] = std::move(shape); }
  // A layer with weight and bias.
  void layer(const std::string& name, Shape weight) {
    add(name + ".bias", {weight[0]});
    add(name + ".weight", std::move(weight));
  }
  void norm(const std::string& name, int64_t width) { layer(name, {width}); }
  TensorShapes take() { return std::move(tensors_); }

 private:
  TensorShapes tensors_;
};

std::string numbered(const std::string& name, int64_t index) {
  return name + "." + std::to_string(index);
}

void add_block(Listing& list, const std::string& name, const TransformerConfig& c) {
  const int64_t width = c.width();
  for (const char* norm : {".norm1", ".norm2"}) {
    list.layer(name + norm + ".linear", {6 * width, c.time_embed_dim});
    list.norm(name + norm + ".norm", width);
  }
  for (const char* norm : {".attn1.norm_q", ".attn1.norm_k"})
    list.norm(name + norm, c.attention_head_dim);
  for (const char* part : {".attn1.to_q", ".attn1.to_k", ".attn1.to_v", ".attn1.to_out.0"})
    list.layer(name + part, {width, width});
  list.layer(name + ".ff.net.0.proj", {4 * width, width});
  list.layer(name + ".ff.net.2", {width, 4 * width});
}

// The rows of a learned table: text, then every patch of the trained size.
int64_t position_rows(const TransformerConfig& c) {
  const int64_t frames = (c.sample_frames - 1) / c.temporal_compression_ratio + 1;
  return c.max_text_seq_length +
         frames * (c.sample_height / c.patch_size) * (c.sample_width / c.patch_size);
}

// Of the decoder, whose norms are given the latents, where `latent_channels` is not 0.
struct VaeSide {
  std::string name;
  int64_t latent_channels = 0;

  void norm(Listing& list, const std::string& place, int64_t channels) const {
    if (latent_channels == 0) return list.norm(place, channels);
    list.norm(place + ".norm_layer", channels);
    for (const char* part : {".conv_y.conv", ".conv_b.conv"})
      list.layer(place + part, {channels, latent_channels, 1, 1, 1});
  }
  void resnet(Listing& list, const std::string& place, int64_t in, int64_t out) const {
    norm(list, place + ".norm1", in);
    list.layer(place + ".conv1.conv", {out, in, 3, 3, 3});
    norm(list, place + ".norm2", out);
    list.layer(place + ".conv2.conv", {out, out, 3, 3, 3});
    if (in != out) list.layer(place + ".conv_shortcut", {out, in, 1, 1, 1});
  }
  void middle(Listing& list, int64_t channels) const {
    for (int64_t i : {0, 1}) {
      resnet(list, numbered(name + ".mid_block.resnets", i), channels, channels);
    }
  }
};

void add_encoder(Listing& list, const VaeConfig& c) {
  const VaeSide side{.name = "encoder"};
  const auto& widths = c.block_out_channels;
  list.layer("encoder.conv_in.conv", {widths.front(), c.in_channels, 3, 3, 3});
  int64_t channels = widths.front();
  for (size_t i = 0; i < widths.size(); ++i) {
    const std::string block = numbered("encoder.down_blocks", static_cast<int64_t>(i));
    for (int64_t j = 0; j < c.layers_per_block; ++j) {
      side.resnet(list, numbered(block + ".resnets", j), channels, widths[i]);
      channels = widths[i];
    }
    if (i + 1 < widths.size())
      list.layer(block + ".downsamplers.0.conv", {channels, channels, 3, 3});
  }
  side.middle(list, channels);
  side.norm(list, "encoder.norm_out", channels);
  list.layer("encoder.conv_out.conv", {2 * c.latent_channels, channels, 3, 3, 3});
}

void add_decoder(Listing& list, const VaeConfig& c) {
  const VaeSide side{.name = "decoder", .latent_channels = c.latent_channels};
  const auto& widths = c.block_out_channels;
  int64_t channels = widths.back();
  list.layer("decoder.conv_in.conv", {channels, c.latent_channels, 3, 3, 3});
  side.middle(list, channels);
  for (size_t i = 0; i < widths.size(); ++i) {
    const std::string block = numbered("decoder.up_blocks", static_cast<int64_t>(i));
    const int64_t out = widths[widths.size() - 1 - i];
    for (int64_t j = 0; j < c.layers_per_block + 1; ++j) {
      side.resnet(list, numbered(block + ".resnets", j), channels, out);
      channels = out;
    }
    if (i + 1 < widths.size()) list.layer(block + ".upsamplers.0.conv", {channels, channels, 3, 3});
  }
  side.norm(list, "decoder.norm_out", channels);
  list.layer("decoder.conv_out.conv", {c.out_channels, channels, 3, 3, 3});
}

}  // namespace

TensorShapes transformer_tensors(const TransformerConfig& c, int64_t ofs_embed_dim) {
  Listing list;
  const int64_t width = c.width(), p = c.patch_size;
  const int64_t patch_t = c.patch_size_t == 0 ? 1 : c.patch_size_t;
  if (c.patch_size_t == 0) {
    list.layer("patch_embed.proj", {width, c.in_channels, p, p});
  } else {
    list.layer("patch_embed.proj", {width, c.in_channels * p * p * patch_t});
  }
  list.layer("patch_embed.text_proj", {width, c.text_embed_dim});
  if (c.use_learned_positional_embeddings)
    list.add("patch_embed.pos_embedding", {1, position_rows(c), width});
  list.layer("time_embedding.linear_1", {c.time_embed_dim, width});
  list.layer("time_embedding.linear_2", {c.time_embed_dim, c.time_embed_dim});
  if (ofs_embed_dim > 0) {
    list.layer("ofs_embedding.linear_1", {ofs_embed_dim, ofs_embed_dim});
    list.layer("ofs_embedding.linear_2", {ofs_embed_dim, ofs_embed_dim});
  }
  for (int64_t i = 0; i < c.num_layers; ++i) add_block(list, numbered("transformer_blocks", i), c);
  list.norm("norm_final", width);
  list.layer("norm_out.linear", {2 * width, c.time_embed_dim});
  list.norm("norm_out.norm", width);
  list.layer("proj_out", {p * p * patch_t * c.out_channels, width});
  return list.take();
}

TensorShapes vae_tensors(const VaeConfig& config) {
  Listing list;
  add_encoder(list, config);
  add_decoder(list, config);
  return list.take();
}

TensorShapes t5_tensors(const T5Config& c) {
  Listing list;
  const int64_t inner = c.num_heads * c.d_kv;
  list.add("shared.weight", {c.vocab_size, c.d_model});
  for (int64_t i = 0; i < c.num_layers; ++i) {
    const std::string block = numbered("encoder.block", i);
    const std::string attention = block + ".layer.0.SelfAttention";
    for (const char* part : {".q", ".k", ".v"})
      list.add(attention + part + ".weight", {inner, c.d_model});
    list.add(attention + ".o.weight", {c.d_model, inner});
    if (i == 0) {
      list.add(attention + ".relative_attention_bias.weight",
               {c.relative_attention_num_buckets, c.num_heads});
    }
    list.add(block + ".layer.0.layer_norm.weight", {c.d_model});
    list.add(block + ".layer.1.layer_norm.weight", {c.d_model});
    const std::string dense = block + ".layer.1.DenseReluDense";
    for (const char* part : {".wi_0", ".wi_1"})
      list.add(dense + part + ".weight", {c.d_ff, c.d_model});
    list.add(dense + ".wo.weight", {c.d_model, c.d_ff});
  }
  list.add("encoder.final_layer_norm.weight", {c.d_model});
  return list.take();
}

}  // namespace cogvx
