#include "core/transformer/transformer.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/silu.h>

#include "core/base/errors.h"
#include "core/base/memory.h"
#include "core/transformer/patches.h"
#include "core/transformer/tensor_list.h"

namespace cogvx {
namespace {

constexpr double kQkNormEps = 1e-6;
// The value that diffusers' pipelines give to every model with an ofs embedding.
constexpr double kOfs = 2.0;

// Reads one transformer's tensors under the names diffusers gives them.
class Loader {
 public:
  Loader(const TransformerConfig& config, WeightMap& weights, at::ScalarType dtype, Ops& ops)
      : c_(config),
        shapes_(transformer_tensors(config)),
        weights_(weights),
        dtype_(dtype),
        ops_(ops) {}

  // A convolution of patches is a linear layer on the patch vector (C, py, px).
  LinearWeights linear(const std::string& name) {
    return ops_.pack_linear(lend(name + ".weight").flatten(1), take(name + ".bias"));
  }
  NormWeights norm(const std::string& name, double eps) {
    return {ops_.upload(take(name + ".weight").to(at::kFloat)),
            ops_.upload(take(name + ".bias").to(at::kFloat)), eps};
  }
  AdaLayerNorm ada_norm(const std::string& name) {
    return {linear(name + ".linear"), norm(name + ".norm", c_.norm_eps)};
  }
  ScalarEmbedding embedding(const std::string& name) {
    return {linear(name + ".linear_1"), linear(name + ".linear_2")};
  }
  // Reads the next one meanwhile.
  TransformerBlock block(int64_t index) {
    weights_.read_ahead(block_name(index + 1) + ".");
    const std::string name = block_name(index);
    TransformerBlock block;
    block.norm1 = ada_norm(name + ".norm1");
    block.to_qkv = stacked_qkv(name + ".attn1");
    block.norm_q = norm(name + ".attn1.norm_q", kQkNormEps);
    block.norm_k = norm(name + ".attn1.norm_k", kQkNormEps);
    block.to_out = linear(name + ".attn1.to_out.0");
    block.norm2 = ada_norm(name + ".norm2");
    block.ff_in = linear(name + ".ff.net.0.proj");
    block.ff_out = linear(name + ".ff.net.2");
    return block;
  }
  at::Tensor take(const std::string& name) { return weights_.take(name, shapes_.at(name), dtype_); }

 private:
  static std::string block_name(int64_t index) {
    return "transformer_blocks." + std::to_string(index);
  }
  at::Tensor lend(const std::string& name) { return weights_.lend(name, shapes_.at(name), dtype_); }
  LinearWeights stacked_qkv(const std::string& name) {
    std::vector<at::Tensor> weights, biases;
    for (const char* part : {".to_q", ".to_k", ".to_v"}) {
      weights.push_back(lend(name + part + ".weight"));
      biases.push_back(take(name + part + ".bias"));
    }
    return ops_.pack_linear(at::cat(weights), at::cat(biases));
  }

  const TransformerConfig& c_;
  const TensorShapes shapes_;
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

LatentExtent extent(const at::Tensor& latents_LCYX) {
  return {latents_LCYX.size(0), latents_LCYX.size(2), latents_LCYX.size(3)};
}

// The linear layer would read past the end of patches that are too short.
void check_channels(const TransformerConfig& config, const at::Tensor& latents_LCYX) {
  if (latents_LCYX.size(1) == config.in_channels) return;
  throw UsageError("the latents have " + std::to_string(latents_LCYX.size(1)) +
                   " channels, this model takes " + std::to_string(config.in_channels) +
                   (config.in_channels > config.out_channels
                        ? "; it wants those of an image or a control video beside the noise"
                        : "; it takes no image and no control video"));
}

}  // namespace

Transformer::Transformer(const TransformerConfig& config, WeightMap& weights, at::ScalarType dtype,
                         Ops& ops, const BlockCallback& after_block)
    : config_(config), dtype_(dtype), ops_(ops) {
  const LoadingAllocations allocations;
  Loader load(config_, weights, dtype, ops);
  patch_proj_ = load.linear("patch_embed.proj");
  text_proj_ = load.linear("patch_embed.text_proj");
  if (config_.use_learned_positional_embeddings)
    learned_ND_ = load.take(kLearnedPositions).squeeze(0);
  time_embedding_ = load.embedding("time_embedding");
  if (config_.ofs_embed_dim > 0) ofs_embedding_ = load.embedding("ofs_embedding");
  for (int64_t i = 0; i < config_.num_layers; ++i) {
    blocks_.push_back(load.block(i));
    if (after_block) after_block(i + 1, config_.num_layers);
  }
  norm_final_ = load.norm("norm_final", config_.norm_eps);
  norm_out_ = load.ada_norm("norm_out");
  proj_out_ = load.linear("proj_out");
  weights.finish();
}

at::Tensor Transformer::embed_scalar(double value, const ScalarEmbedding& embedding) const {
  const at::Tensor sinusoid = timestep_sinusoid(value, embedding.linear_1.in).to(dtype_);
  const at::Tensor hidden = ops_.linear(ops_.upload(sinusoid.unsqueeze(0)), embedding.linear_1,
                                        {.activation = Activation::kSilu});
  return ops_.linear(hidden, embedding.linear_2).squeeze(0);
}

at::Tensor Transformer::embed_timestep(int64_t timestep) const {
  const at::Tensor time = embed_scalar(static_cast<double>(timestep), time_embedding_);
  return config_.ofs_embed_dim > 0 ? time + embed_scalar(kOfs, ofs_embedding_) : time;
}

void Transformer::prepare_positions(const PatchGrid& grid, int64_t text_rows, RowRange own) {
  const PositionsPlace place{grid, text_rows, own};
  if (place == positions_place_) return;
  positions_place_ = place;
  if (config_.use_rotary_positional_embeddings) {
    const RotaryTables tables = rotary_positions(config_, grid);
    rotary_ = {ops_.upload(tables.cos), ops_.upload(tables.sin)};
  }
  const AddedPositions added = added_positions(config_, grid);
  if (added == AddedPositions::kNone) return;
  if (added == AddedPositions::kLearned) {
    added_rD_ = ops_.upload(learned_ND_.narrow(0, own.begin, own.size()));
    return;
  }
  const RowRange video = intersect(own, {text_rows, text_rows + grid.tokens()});
  const at::Tensor all_MD = sincos_positions(config_, grid, dtype_);
  // A table as wide as the activations: what others need does not stay.
  const bool whole = video.size() == grid.tokens();
  added_rD_ =
      ops_.upload(whole ? all_MD : all_MD.narrow(0, video.begin - text_rows, video.size()).clone());
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
  const int64_t text_rows = text_TE.size(0);
  const PatchGrid grid = patch_grid(config_, extent(latents_LCYX));
  const RowRange video_rows = intersect(rows, {text_rows, text_rows + grid.tokens()});
  const RowRange tokens{video_rows.begin - text_rows, video_rows.end - text_rows};
  prepare_positions(grid, text_rows, rows);
  std::vector<at::Tensor> parts;
  if (const RowRange own = intersect(rows, {0, text_rows}); own.size() > 0) {
    parts.push_back(ops_.linear(ops_.upload(text_TE.narrow(0, own.begin, own.size())), text_proj_,
                                {.first_row = own.begin, .shared = text_rows_}));
  }
  if (tokens.size() > 0) {
    parts.push_back(ops_.linear(ops_.upload(patch_vectors(latents_LCYX, config_, tokens)),
                                patch_proj_,
                                {.first_row = video_rows.begin, .shared = video_rows_}));
  }
  if (parts.empty())
    return at::empty({0, config_.width()}, text_TE.options().device(ops_.device()));
  at::Tensor x_nD = at::cat(parts);
  if (added_rD_.defined()) {
    const int64_t last = added_rD_.size(0);
    x_nD.narrow(0, x_nD.size(0) - last, last).add_(added_rD_);
  }
  return x_nD;
}

// x_nD -> own rows of what attention gives, before its output projection
at::Tensor Transformer::attend(const TransformerBlock& block, const at::Tensor& x_nD,
                               const Modulation& m, RowSplit split, SequenceExchange& exchange) {
  {
    const QkPreparation preparation{block.norm_q, block.norm_k, rotary_.cos, rotary_.sin};
    at::Tensor send_H3nE = exchange.send_buffer();
    ops_.prepare_qkv(project_qkv(block, x_nD, m, split), preparation, split, send_H3nE);
  }
  exchange.begin_to_heads();
  for (int group = 0; group < exchange.head_groups(); ++group) {
    const at::Tensor qkv_h3NE = exchange.finish_to_heads(group);
    at::Tensor out_hNE = exchange.attention_output(group);
    ops_.attention(qkv_h3NE, exchange.runs(group), out_hNE);
    exchange.begin_to_rows(group);
  }
  return exchange.finish_to_rows();
}

at::Tensor Transformer::project_qkv(const TransformerBlock& block, const at::Tensor& x_nD,
                                    const Modulation& m, RowSplit split) {
  const at::Tensor a_nD = ops_.modulated_norm(x_nD, block.norm1.norm, m.shift, m.scale, split);
  return ops_.linear(a_nD, block.to_qkv, shared_call(split));
}

// x_nD -> own rows between the two feed-forward layers
at::Tensor Transformer::feed_forward_hidden(const TransformerBlock& block, const at::Tensor& x_nD,
                                            const Modulation& m, RowSplit split) {
  const at::Tensor a_nD = ops_.modulated_norm(x_nD, block.norm2.norm, m.shift, m.scale, split);
  return ops_.linear(a_nD, block.ff_in, shared_call(split, Activation::kGeluTanh));
}

void Transformer::run_block(const TransformerBlock& block, at::Tensor& x_nD,
                            const at::Tensor& time_embedding, int64_t text_rows,
                            SequenceExchange& exchange) {
  const RowSplit split{.first_row = exchange.rows().begin, .text_rows = text_rows};
  const at::Tensor activated_time = at::silu(time_embedding);
  const Modulation m1 = modulate(block.norm1, activated_time, ops_);
  ops_.add_linear(x_nD, attend(block, x_nD, m1, split, exchange), block.to_out,
                  {shared_call(split), m1.gate, split});
  const Modulation m2 = modulate(block.norm2, activated_time, ops_);
  ops_.add_linear(x_nD, feed_forward_hidden(block, x_nD, m2, split), block.ff_out,
                  {shared_call(split), m2.gate, split});
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
  const int64_t text_rows = text_TE.size(0);
  check_channels(config_, latents_LCYX);
  check_positions(config_, extent(latents_LCYX), text_rows);
  const PatchGrid grid = patch_grid(config_, extent(latents_LCYX));
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
  const at::Tensor vectors_MP = ops_.download(exchange.gather_rows(own, {text_rows, rows}));
  return unpatchify(vectors_MP, config_, grid);
}

}  // namespace cogvx
