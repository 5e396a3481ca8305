#include "core/transformer/tensor_list.h"

#include "core/transformer/patch_grid.h"

namespace cogvx {
namespace {

class TensorList {
 public:
  void tensor(const std::string& name, std::vector<int64_t> shape) {
    shapes_.emplace(name, std::move(shape));
  }
  void linear(const std::string& name, int64_t out, int64_t in) {
    tensor(name + ".weight", {out, in});
    tensor(name + ".bias", {out});
  }
  void norm(const std::string& name, int64_t width) {
    tensor(name + ".weight", {width});
    tensor(name + ".bias", {width});
  }
  TensorShapes take() { return std::move(shapes_); }

 private:
  TensorShapes shapes_;
};

void list_embeddings(const TransformerConfig& c, TensorList& list) {
  const int64_t width = c.width();
  const int64_t p = c.patch_size;
  // A convolution in CogVideoX 1.0, a linear layer in 1.5.
  if (c.patch_size_t == 0) {
    list.tensor("patch_embed.proj.weight", {width, c.in_channels, p, p});
    list.tensor("patch_embed.proj.bias", {width});
  } else {
    list.linear("patch_embed.proj", width, c.in_channels * c.patch_elements());
  }
  list.linear("patch_embed.text_proj", width, c.text_embed_dim);
  if (c.use_learned_positional_embeddings)
    list.tensor(kLearnedPositions, {1, c.max_text_seq_length + trained_grid(c).tokens(), width});
  list.linear("time_embedding.linear_1", c.time_embed_dim, width);
  list.linear("time_embedding.linear_2", c.time_embed_dim, c.time_embed_dim);
  if (c.ofs_embed_dim > 0) {
    list.linear("ofs_embedding.linear_1", c.ofs_embed_dim, c.ofs_embed_dim);
    list.linear("ofs_embedding.linear_2", c.ofs_embed_dim, c.ofs_embed_dim);
  }
}

void list_block(const TransformerConfig& c, const std::string& name, TensorList& list) {
  const int64_t width = c.width();
  for (const char* norm : {".norm1", ".norm2"}) {
    list.linear(name + norm + ".linear", 6 * width, c.time_embed_dim);
    list.norm(name + norm + ".norm", width);
  }
  for (const char* norm : {".norm_q", ".norm_k"})
    list.norm(name + ".attn1" + norm, c.attention_head_dim);
  for (const char* part : {".to_q", ".to_k", ".to_v", ".to_out.0"})
    list.linear(name + ".attn1" + part, width, width);
  list.linear(name + ".ff.net.0.proj", 4 * width, width);
  list.linear(name + ".ff.net.2", width, 4 * width);
}

}  // namespace

TensorShapes transformer_tensors(const TransformerConfig& c) {
  TensorList list;
  list_embeddings(c, list);
  for (int64_t i = 0; i < c.num_layers; ++i)
    list_block(c, "transformer_blocks." + std::to_string(i), list);
  list.norm("norm_final", c.width());
  list.linear("norm_out.linear", 2 * c.width(), c.time_embed_dim);
  list.norm("norm_out.norm", c.width());
  list.linear("proj_out", c.out_channels * c.patch_elements(), c.width());
  return list.take();
}

}  // namespace cogvx
