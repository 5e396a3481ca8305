#include "core/transformer/transformer.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/silu.h>

#include "core/base/memory.h"

namespace cogvx {
namespace {

constexpr double kQkNormEps = 1e-6;

// Reads one transformer's tensors under the names diffusers gives them.
class Loader {
 public:
  Loader(const TransformerConfig& config, WeightMap& weights, at::ScalarType dtype, Ops& ops)
      : c_(config), weights_(weights), dtype_(dtype), ops_(ops) {}

  LinearWeights linear(const std::string& name, int64_t out, int64_t in) {
    return ops_.pack_linear(take(name + ".weight", {out, in}), take(name + ".bias", {out}));
  }
  // A convolution of patches is a linear layer on the patch vector (C, py, px).
  LinearWeights patch_projection(const std::string& name) {
    const int64_t p = c_.patch_size;
    return ops_.pack_linear(take(name + ".weight", {c_.width(), c_.in_channels, p, p}).flatten(1),
                            take(name + ".bias", {c_.width()}));
  }
  NormWeights norm(const std::string& name, int64_t width, double eps) {
    return {ops_.upload(take(name + ".weight", {width}).to(at::kFloat)),
            ops_.upload(take(name + ".bias", {width}).to(at::kFloat)), eps};
  }
  AdaLayerNorm ada_norm(const std::string& name, int64_t vectors) {
    return {linear(name + ".linear", vectors * c_.width(), c_.time_embed_dim),
            norm(name + ".norm", c_.width(), c_.norm_eps)};
  }
  TransformerBlock block(int64_t index) {
    const std::string name = "transformer_blocks." + std::to_string(index);
    const int64_t width = c_.width();
    TransformerBlock block;
    block.norm1 = ada_norm(name + ".norm1", 6);
    block.to_qkv = stacked_qkv(name + ".attn1");
    block.norm_q = norm(name + ".attn1.norm_q", c_.attention_head_dim, kQkNormEps);
    block.norm_k = norm(name + ".attn1.norm_k", c_.attention_head_dim, kQkNormEps);
    block.to_out = linear(name + ".attn1.to_out.0", width, width);
    block.norm2 = ada_norm(name + ".norm2", 6);
    block.ff_in = linear(name + ".ff.net.0.proj", 4 * width, width);
    block.ff_out = linear(name + ".ff.net.2", width, 4 * width);
    return block;
  }

 private:
  at::Tensor take(const std::string& name, at::IntArrayRef shape) {
    return weights_.take(name, shape, dtype_);
  }

  LinearWeights stacked_qkv(const std::string& name) {
    const int64_t width = c_.width();
    std::vector<at::Tensor> weights, biases;
    for (const char* part : {".to_q", ".to_k", ".to_v"}) {
      weights.push_back(take(name + part + ".weight", {width, width}));
      biases.push_back(take(name + part + ".bias", {width}));
    }
    return ops_.pack_linear(at::cat(weights), at::cat(biases));
  }

  const TransformerConfig& c_;
  WeightMap& weights_;
  at::ScalarType dtype_;
  Ops& ops_;
};

Modulation modulate(const AdaLayerNorm& norm, const at::Tensor& activated_time, Ops& ops) {
  const at::Tensor m = ops.linear(activated_time.unsqueeze(0), norm.linear).squeeze(0);
  const int64_t width = m.size(0) / 6;
  const auto part = [&](int64_t i) { return m.narrow(0, i * width, width); };
  return {.shift = {.text = part(3), .video = part(0)},
          .scale = {.text = part(4), .video = part(1)},
          .gate = {.text = part(5), .video = part(2)}};
}

// latents_LCYX, tokens [begin, end) -> patch vectors (C, py, px) of those tokens
at::Tensor patch_vectors(const at::Tensor& latents_LCYX, int64_t patch, RowRange tokens) {
  const int64_t frames = latents_LCYX.size(0);
  const int64_t channels = latents_LCYX.size(1);
  const int64_t rows = latents_LCYX.size(2) / patch;
  const int64_t columns = latents_LCYX.size(3) / patch;
  return latents_LCYX.reshape({frames, channels, rows, patch, columns, patch})
      .permute({0, 2, 4, 1, 3, 5})
      .reshape({frames * rows * columns, channels * patch * patch})
      .narrow(0, tokens.begin, tokens.size());
}

// vectors_M(Cpp) -> LCYX
at::Tensor unpatchify(const at::Tensor& vectors_MC, const PatchGrid& grid, int64_t channels,
                      int64_t patch) {
  return vectors_MC.view({grid.frames, grid.height, grid.width, channels, patch, patch})
      .permute({0, 3, 1, 4, 2, 5})
      .reshape({grid.frames, channels, grid.height * patch, grid.width * patch});
}

}  // namespace

Transformer::Transformer(const TransformerConfig& config, WeightMap& weights, at::ScalarType dtype,
                         Ops& ops, const BlockCallback& after_block)
    : config_(config), dtype_(dtype), ops_(ops) {
  const LoadingAllocations allocations;
  Loader load(config_, weights, dtype, ops);
  const int64_t width = config_.width();
  patch_proj_ = load.patch_projection("patch_embed.proj");
  text_proj_ = load.linear("patch_embed.text_proj", width, config_.text_embed_dim);
  time_linear_1_ = load.linear("time_embedding.linear_1", config_.time_embed_dim, width);
  time_linear_2_ =
      load.linear("time_embedding.linear_2", config_.time_embed_dim, config_.time_embed_dim);
  for (int64_t i = 0; i < config_.num_layers; ++i) {
    blocks_.push_back(load.block(i));
    if (after_block) after_block(i + 1, config_.num_layers);
  }
  norm_final_ = load.norm("norm_final", width, config_.norm_eps);
  norm_out_ = load.ada_norm("norm_out", 2);
  proj_out_ = load.linear("proj_out",
                          config_.patch_size * config_.patch_size * config_.out_channels, width);
  weights.finish();
}

at::Tensor Transformer::embed_timestep(int64_t timestep) const {
  const at::Tensor sinusoid =
      timestep_sinusoid(static_cast<double>(timestep), config_.width()).to(dtype_);
  const at::Tensor hidden = ops_.linear(ops_.upload(sinusoid.unsqueeze(0)), time_linear_1_,
                                        {.activation = Activation::kSilu});
  return ops_.linear(hidden, time_linear_2_).squeeze(0);
}

void Transformer::prepare_positions(const PatchGrid& grid, RowRange tokens) {
  if (grid == grid_ && tokens == tokens_) return;
  grid_ = grid;
  tokens_ = tokens;
  if (config_.use_rotary_positional_embeddings) {
    const RotaryTables tables = rotary_positions(config_, grid);
    rotary_ = {ops_.upload(tables.cos), ops_.upload(tables.sin)};
    return;
  }
  const at::Tensor all_MD = sincos_positions(config_, grid, dtype_);
  const bool whole = tokens.size() == grid.tokens();
  // A table as wide as the activations: what others need does not stay.
  sincos_mD_ = ops_.upload(whole ? all_MD : all_MD.narrow(0, tokens.begin, tokens.size()).clone());
}

// Blocks are alike, so the first one's layers stand for all.
void Transformer::prepare_calls(int64_t text_rows, int64_t rows) {
  const RowRange text{0, text_rows}, video{text_rows, rows};
  if (text == text_rows_ && video == video_rows_) return;
  const RowRange all{0, rows};
  SharedCalls calls{
      .rows = rows,
      .heads = config_.num_attention_heads,
      .head_dim = config_.attention_head_dim,
      .dtype = dtype_,
      .linears = {{"text projection", text_proj_, text}, {"patch projection", patch_proj_, video}}};
  if (!blocks_.empty()) {
    const TransformerBlock& block = blocks_.front();
    calls.linears.push_back({"q, k and v", block.to_qkv, all});
    calls.linears.push_back({"attention output", block.to_out, all});
    calls.linears.push_back({"feed-forward in", block.ff_in, all, Activation::kGeluTanh});
    calls.linears.push_back({"feed-forward out", block.ff_out, all});
  }
  calls.linears.push_back({"output projection", proj_out_, video});
  ops_.prepare(calls);
  text_rows_ = text;
  video_rows_ = video;
}

LinearCall Transformer::shared_call(RowSplit split, Activation activation) const {
  return {.first_row = split.first_row,
          .shared = {text_rows_.begin, video_rows_.end},
          .activation = activation};
}

// Text rows and video rows of a block go through different layers, so the unit is the part of a
// block of either kind.
at::Tensor Transformer::embed_patches(const at::Tensor& latents_LCYX, const at::Tensor& text_TE,
                                      RowRange rows) {
  const int64_t patch = config_.patch_size;
  const PatchGrid grid{latents_LCYX.size(0), latents_LCYX.size(2) / patch,
                       latents_LCYX.size(3) / patch};
  const int64_t text_rows = text_TE.size(0);
  const RowRange video_rows = intersect(rows, {text_rows, text_rows + grid.tokens()});
  const RowRange tokens{video_rows.begin - text_rows, video_rows.end - text_rows};
  prepare_positions(grid, tokens);
  std::vector<at::Tensor> parts;
  if (const RowRange own = intersect(rows, {0, text_rows}); own.size() > 0) {
    parts.push_back(ops_.linear(ops_.upload(text_TE.narrow(0, own.begin, own.size())), text_proj_,
                                {.first_row = own.begin, .shared = text_rows_}));
  }
  if (tokens.size() > 0) {
    at::Tensor video =
        ops_.linear(ops_.upload(patch_vectors(latents_LCYX, patch, tokens)), patch_proj_,
                    {.first_row = video_rows.begin, .shared = video_rows_});
    if (sincos_mD_.defined()) video += sincos_mD_;
    parts.push_back(video);
  }
  if (parts.empty())
    return at::empty({0, config_.width()}, text_TE.options().device(ops_.device()));
  return at::cat(parts);
}

// x_nD -> own rows of the attention's output projection
at::Tensor Transformer::attend(const TransformerBlock& block, const at::Tensor& x_nD,
                               const Modulation& m, RowSplit split, SequenceExchange& exchange) {
  const auto groups = exchange.head_groups();
  const int64_t width = config_.attention_head_dim;
  {
    const QkPreparation preparation{block.norm_q, block.norm_k, rotary_.cos, rotary_.sin};
    const at::Tensor qkv_n3D = project_qkv(block, x_nD, m, split);
    for (int g = 0; g < static_cast<int>(groups.size()); ++g) {
      at::Tensor send = exchange.send_buffer(g);
      const at::Tensor group_qkv = qkv_n3D.view({-1, 3, config_.num_attention_heads, width})
                                       .narrow(2, groups[g].begin, groups[g].size())
                                       .reshape({-1, 3 * groups[g].size() * width});
      ops_.prepare_qkv(group_qkv, preparation, split, send);
      exchange.begin_to_heads(g);
    }
  }
  for (int g = 0; g < static_cast<int>(groups.size()); ++g) {
    const at::Tensor qkv_h3NE = exchange.finish_to_heads(g);
    at::Tensor out_hNE = exchange.attention_output(g);
    ops_.attention(qkv_h3NE, exchange.runs(g), out_hNE);
    exchange.begin_to_rows(g);
  }
  std::vector<at::Tensor> attended;
  for (int g = 0; g < static_cast<int>(groups.size()); ++g)
    attended.push_back(exchange.finish_to_rows(g));
  const at::Tensor o_nD = attended.size() == 1 ? attended[0] : at::cat(attended, /*dim=*/1);
  return ops_.linear(o_nD, block.to_out, shared_call(split));
}

at::Tensor Transformer::project_qkv(const TransformerBlock& block, const at::Tensor& x_nD,
                                    const Modulation& m, RowSplit split) {
  const at::Tensor a_nD = ops_.modulated_norm(x_nD, block.norm1.norm, m.shift, m.scale, split);
  return ops_.linear(a_nD, block.to_qkv, shared_call(split));
}

at::Tensor Transformer::feed_forward(const TransformerBlock& block, const at::Tensor& x_nD,
                                     const Modulation& m, RowSplit split) {
  at::Tensor hidden = ops_.modulated_norm(x_nD, block.norm2.norm, m.shift, m.scale, split);
  hidden = ops_.linear(hidden, block.ff_in, shared_call(split, Activation::kGeluTanh));
  return ops_.linear(hidden, block.ff_out, shared_call(split));
}

void Transformer::run_block(const TransformerBlock& block, at::Tensor& x_nD,
                            const at::Tensor& time_embedding, int64_t text_rows,
                            SequenceExchange& exchange) {
  const RowSplit split{.first_row = exchange.rows().begin, .text_rows = text_rows};
  const at::Tensor activated_time = at::silu(time_embedding);
  const Modulation m1 = modulate(block.norm1, activated_time, ops_);
  ops_.gated_add(x_nD, attend(block, x_nD, m1, split, exchange), m1.gate, split);
  const Modulation m2 = modulate(block.norm2, activated_time, ops_);
  ops_.gated_add(x_nD, feed_forward(block, x_nD, m2, split), m2.gate, split);
}

// Own video rows only: text rows have no output.
at::Tensor Transformer::project_output(const at::Tensor& x_nD, const at::Tensor& time_embedding,
                                       RowRange rows, int64_t text_rows) {
  const RowRange video = intersect(rows, {text_rows, rows.end});
  const RowSplit split{.first_row = video.begin, .text_rows = 0};
  const at::Tensor x = x_nD.narrow(0, x_nD.size(0) - video.size(), video.size());
  const at::Tensor m =
      ops_.linear(at::silu(time_embedding).unsqueeze(0), norm_out_.linear).squeeze(0);
  const int64_t width = config_.width();
  const RowVectors shift{.text = {}, .video = m.narrow(0, 0, width)};
  const RowVectors scale{.text = {}, .video = m.narrow(0, width, width)};
  const at::Tensor normed = ops_.modulated_norm(x, norm_final_, {}, {}, split);
  const at::Tensor modulated = ops_.modulated_norm(normed, norm_out_.norm, shift, scale, split);
  return ops_.linear(modulated, proj_out_, {.first_row = video.begin, .shared = video_rows_});
}

at::Tensor Transformer::forward(const at::Tensor& latents_LCYX, const at::Tensor& text_TE,
                                int64_t timestep, SequenceExchange& exchange,
                                const ForwardWatch& watch) {
  const int64_t patch = config_.patch_size;
  const PatchGrid grid{latents_LCYX.size(0), latents_LCYX.size(2) / patch,
                       latents_LCYX.size(3) / patch};
  const int64_t text_rows = text_TE.size(0);
  const int64_t rows = text_rows + grid.tokens();
  exchange.begin_sequence(
      {rows, config_.num_attention_heads, config_.attention_head_dim, dtype_, ops_.device()});
  prepare_calls(text_rows, rows);

  const at::Tensor time_embedding = embed_timestep(timestep);
  at::Tensor x_nD = embed_patches(latents_LCYX, text_TE, exchange.rows());
  if (watch.on_rows) watch.on_rows(0, ops_.download(x_nD));
  for (int64_t i = 0; i < config_.num_layers; ++i) {
    run_block(blocks_[i], x_nD, time_embedding, text_rows, exchange);
    if (watch.on_rows) watch.on_rows(i + 1, ops_.download(x_nD));
    if (watch.after_block) watch.after_block(i + 1, config_.num_layers);
  }
  const at::Tensor own = project_output(x_nD, time_embedding, exchange.rows(), text_rows);
  const at::Tensor vectors_MC = ops_.download(exchange.gather_rows(own, {text_rows, rows}));
  return unpatchify(vectors_MC, grid, config_.out_channels, patch);
}

}  // namespace cogvx
