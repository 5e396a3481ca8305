#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

#include "core/ops/ops.h"
#include "core/transformer/positions.h"
#include "core/transformer/sequence_exchange.h"
#include "core/weights/config.h"
#include "core/weights/weight_map.h"

namespace cogvx {

// Shape letters: N joint rows [text | video], n own rows, D width, E head dim, T text rows, L
// latent frames, C channels, Y and X latent height and width.

struct AdaLayerNorm {
  LinearWeights linear;  // time embedding -> shifts, scales, gates
  NormWeights norm;
};

// The six vectors of a block's AdaLN.
struct Modulation {
  RowVectors shift;
  RowVectors scale;
  RowVectors gate;
};

// The sinusoid of a number through two layers.
struct ScalarEmbedding {
  LinearWeights linear_1;
  LinearWeights linear_2;
};

struct TransformerBlock {
  AdaLayerNorm norm1;
  LinearWeights to_qkv;  // q, k, v stacked
  NormWeights norm_q;
  NormWeights norm_k;
  LinearWeights to_out;
  AdaLayerNorm norm2;
  LinearWeights ff_in;
  LinearWeights ff_out;
};

// Called after each block with blocks done and blocks in all; may throw to stop.
using BlockCallback = std::function<void(int64_t done, int64_t total)>;

// Called with own rows x_nD, on the host, after the embedding (layer 0) and after each block; looks
// and keeps its hands off.
using RowsCallback = std::function<void(int64_t layer, const at::Tensor& x_nD)>;

// Which rows of which sequence tables of positions are for.
struct PositionsPlace {
  PatchGrid grid;
  int64_t text_rows = 0;
  RowRange own;
  bool operator==(const PositionsPlace&) const = default;
};

// Who follows a forward pass; either may be empty.
struct ForwardWatch {
  BlockCallback after_block;
  RowsCallback on_rows;
};

// diffusers: CogVideoXTransformer3DModel of every kind. One forward pass is one guidance
// branch, batch 1.
class Transformer {
 public:
  // Takes every tensor of the component once, telling after each block. Throws DataError.
  Transformer(const TransformerConfig& config, WeightMap& weights, at::ScalarType dtype, Ops& ops,
              const BlockCallback& after_block = {});

  const TransformerConfig& config() const { return config_; }
  at::ScalarType dtype() const { return dtype_; }

  // latents_LCYX of in_channels + text_TE' + timestep -> prediction_LCYX of out_channels, in the
  // compute dtype and on the host like them; the same on every owner of the exchange. Throws
  // UsageError for another number of channels and where check_positions does.
  at::Tensor forward(const at::Tensor& latents_LCYX, const at::Tensor& text_TE, int64_t timestep,
                     SequenceExchange& exchange, const ForwardWatch& watch = {});

  // The steps of forward, for tests against diffusers; results are where the Ops computes.
  at::Tensor embed_timestep(int64_t timestep) const;  // [time_embed_dim], ofs added where it is
  at::Tensor embed_patches(const at::Tensor& latents_LCYX,
                           const at::Tensor& text_TE,  // own rows x_nD
                           RowRange rows);
  void run_block(const TransformerBlock& block, at::Tensor& x_nD, const at::Tensor& time_embedding,
                 int64_t text_rows, SequenceExchange& exchange);
  const std::vector<TransformerBlock>& blocks() const { return blocks_; }

 private:
  at::Tensor project_qkv(const TransformerBlock& block, const at::Tensor& x_nD, const Modulation& m,
                         RowSplit split);
  at::Tensor attend(const TransformerBlock& block, const at::Tensor& x_nD, const Modulation& m,
                    RowSplit split, SequenceExchange& exchange);
  at::Tensor feed_forward_hidden(const TransformerBlock& block, const at::Tensor& x_nD,
                                 const Modulation& m, RowSplit split);
  void prepare_calls(int64_t text_rows, int64_t rows);
  // Of a layer that has every row of the sequence.
  LinearCall shared_call(RowSplit split, Activation activation = Activation::kNone) const;
  at::Tensor embed_scalar(double value, const ScalarEmbedding& embedding) const;
  void prepare_positions(const PatchGrid& grid, int64_t text_rows, RowRange own);
  at::Tensor project_output(const at::Tensor& x_nD, const at::Tensor& time_embedding, RowRange rows,
                            int64_t text_rows);

  TransformerConfig config_;
  at::ScalarType dtype_;
  Ops& ops_;
  LinearWeights patch_proj_;
  LinearWeights text_proj_;
  at::Tensor learned_ND_;  // on the host, of all rows; undefined: none
  ScalarEmbedding time_embedding_;
  ScalarEmbedding ofs_embedding_;
  std::vector<TransformerBlock> blocks_;
  NormWeights norm_final_;
  AdaLayerNorm norm_out_;
  LinearWeights proj_out_;

  RowRange text_rows_;  // of the sequence that the Ops was prepared for
  RowRange video_rows_;
  PositionsPlace positions_place_;  // that the tables below were made for
  at::Tensor added_rD_;             // added to the last of own rows; undefined: nothing is
  RotaryTables rotary_;
};

}  // namespace cogvx
