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
