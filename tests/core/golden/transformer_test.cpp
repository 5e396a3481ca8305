#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <map>

#include "core/base/errors.h"
#include "tests/core/golden/golden_ops.h"
#include "tests/support/recording_ops.h"
#include "tests/support/tiny_models.h"

namespace cogvx {
namespace {

using namespace test;
using nlohmann::json;

class TransformerGolden : public testing::TestWithParam<const char*> {
 protected:
  TransformerGolden() : inner_(make_golden_ops(at::kFloat)), ops_(*inner_) {
    write_tiny_checkpoint(golden_recipe(GetParam()), folder_.path());
    checkpoint_.dir = folder_.path();
    checkpoint_.transformer =
        parse_transformer_config(read_json_object(folder_ / "transformer/config.json"), GetParam());
  }

  TemporaryFolder folder_;
  Checkpoint checkpoint_;  // its transformer alone
  std::unique_ptr<Ops> inner_;
  RecordingOps ops_;
};

TEST_P(TransformerGolden, TimeEmbeddingAgreesWithDiffusers) {
  const Transformer transformer = load_transformer(checkpoint_, at::kFloat, ops_);
  for (const GoldenCase& golden : golden_cases(GetParam(), "time")) {
    std::vector<at::Tensor> sinusoids, embeddings;
    for (const int64_t timestep : golden.params().at("timesteps")) {
      sinusoids.push_back(
          timestep_sinusoid(static_cast<double>(timestep), checkpoint_.transformer.width()));
      embeddings.push_back(transformer.embed_timestep(timestep));
    }
    if (golden.params().contains("ofs")) {
      const at::Tensor sinusoid =
          timestep_sinusoid(golden.params().at("ofs"), checkpoint_.transformer.ofs_embed_dim);
      EXPECT_TRUE(agrees(golden, "ofs_sinusoid", sinusoid.unsqueeze(0)));
    }
    EXPECT_TRUE(agrees(golden, "sinusoid", at::stack(sinusoids)));
    EXPECT_TRUE(agrees(golden, "emb", at::stack(embeddings)));
  }
}

TEST_P(TransformerGolden, PatchEmbeddingAgreesWithDiffusers) {
  Transformer transformer = load_transformer(checkpoint_, at::kFloat, ops_);
  for (const GoldenCase& golden : golden_cases(GetParam(), "patch")) {
    const at::Tensor latents = golden.input("hidden_states").squeeze(0);
    const at::Tensor text = golden.input("encoder_hidden_states").squeeze(0);
    const PatchGrid grid =
        patch_grid(checkpoint_.transformer, {latents.size(0), latents.size(2), latents.size(3)});
    const int64_t rows = text.size(0) + grid.tokens();
    const at::Tensor x = transformer.embed_patches(latents, text, {0, rows});
    EXPECT_TRUE(agrees(golden, "embeds", x.unsqueeze(0)));
  }
}

TEST_P(TransformerGolden, PositionTablesAgreeWithDiffusers) {
  for (const GoldenCase& golden : golden_cases(GetParam(), "positions")) {
    for (const json& table : golden.params().at("tables")) {
      TransformerConfig config = checkpoint_.transformer;
      const std::string name = table.at("name");
      const int64_t dim = table.at("dim");
      config.patch_size_t = table.value("patch_size_t", int64_t{0});
      const PatchGrid grid = patch_grid(
          config, {table.at("latent_frames"), table.at("latent_height"), table.at("latent_width")});
      if (table.at("kind") == "sincos") {
        config.num_attention_heads = dim / config.attention_head_dim;
        EXPECT_TRUE(agrees(golden, "table." + name, sincos_positions(config, grid, at::kFloat)));
      } else {
        config.attention_head_dim = dim;
        config.sample_height = table.at("sample_height");
        config.sample_width = table.at("sample_width");
        const RotaryTables rotary = rotary_positions(config, grid);
        EXPECT_TRUE(agrees(golden, "cos." + name, rotary.cos));
        EXPECT_TRUE(agrees(golden, "sin." + name, rotary.sin));
      }
    }
  }
}

// The parts of a block in the order in which it computes them.
std::map<std::string, at::Tensor> block_parts(const RecordingOps& ops, int64_t text_rows) {
  std::map<std::string, at::Tensor> parts;
  const auto split = [&](const std::string& name, const at::Tensor& x_ND) {
    parts[name + ".encoder_hidden_states"] = x_ND.narrow(0, 0, text_rows);
    parts[name + ".hidden_states"] = x_ND.narrow(0, text_rows, x_ND.size(0) - text_rows);
  };
  split("norm1", ops.norms().at(0));
  split("norm2", ops.norms().at(1));
  // modulation, qkv, out, modulation, in, out
  split("attn1", ops.linears().at(2));
  parts["ff"] = ops.linears().at(5);
  return parts;
}

using TransformerBlockGolden = TransformerGolden;

TEST_P(TransformerBlockGolden, BlocksAndTheirPartsAgreeWithDiffusers) {
  Transformer transformer = load_transformer(checkpoint_, at::kFloat, ops_);
  for (const GoldenCase& golden : golden_cases(GetParam(), "block")) {
    const json& p = golden.params();
    const at::Tensor video = golden.input("hidden_states").squeeze(0);
    const at::Tensor text = golden.input("encoder_hidden_states").squeeze(0);
    const int64_t rows = text.size(0) + video.size(0);
    IdentityExchange exchange;
    exchange.begin_sequence({rows, checkpoint_.transformer.num_attention_heads,
                             checkpoint_.transformer.attention_head_dim, at::kFloat,
                             ops_.device()});
    ops_.prepare({.rows = rows,
                  .heads = checkpoint_.transformer.num_attention_heads,
                  .head_dim = checkpoint_.transformer.attention_head_dim,
                  .dtype = at::kFloat,
                  .linears = {}});
    // Makes the position tables of this grid.
    transformer.embed_patches(
        at::zeros({p.at("latent_frames").get<int64_t>(), 16, p.at("latent_height").get<int64_t>(),
                   p.at("latent_width").get<int64_t>()}),
        at::zeros({text.size(0), checkpoint_.transformer.text_embed_dim}), {0, 0});
    at::Tensor x_ND = ops_.upload(at::cat({text, video}));
    ops_.forget();
    transformer.run_block(transformer.blocks().at(p.at("layer").get<size_t>()), x_ND,
                          ops_.upload(golden.input("emb").squeeze(0)), text.size(0), exchange);
    auto parts = block_parts(ops_, text.size(0));
    parts["encoder_hidden_states"] = x_ND.narrow(0, 0, text.size(0));
    parts["hidden_states"] = x_ND.narrow(0, text.size(0), video.size(0));
    for (const std::string& output : golden.output_names())
      EXPECT_TRUE(agrees(golden, output, parts.at(output).unsqueeze(0)));
  }
}

TEST_P(TransformerGolden, PredictionsAgreeWithDiffusers) {
  Transformer transformer = load_transformer(checkpoint_, at::kFloat, ops_);
  IdentityExchange exchange;
  for (const GoldenCase& golden : golden_cases(GetParam(), "transformer")) {
    const at::Tensor latents = golden.input("hidden_states").squeeze(0);
    const at::Tensor text = golden.input("encoder_hidden_states").squeeze(0);
    for (const int64_t timestep : golden.params().at("timesteps")) {
      const at::Tensor sample = transformer.forward(latents, text, timestep, exchange);
      EXPECT_TRUE(agrees(golden, "sample.t" + std::to_string(timestep), sample.unsqueeze(0)));
    }
  }
}

TEST_P(TransformerGolden, LatentsOfAnotherNumberOfChannelsAreRefused) {
  Transformer transformer = load_transformer(checkpoint_, at::kFloat, ops_);
  IdentityExchange exchange;
  const GoldenCase golden = golden_cases(GetParam(), "transformer").front();
  const at::Tensor latents = golden.input("hidden_states").squeeze(0);
  const at::Tensor text = golden.input("encoder_hidden_states").squeeze(0);
  for (const at::Tensor& other : {latents.narrow(1, 0, 8), at::cat({latents, latents}, 1)})
    EXPECT_THROW(transformer.forward(other, text, 1, exchange), UsageError);
}

INSTANTIATE_TEST_SUITE_P(Tiny, TransformerGolden,
                         testing::Values("tiny-2b", "tiny-5b", "tiny-30x16", "tiny-5b-i2v",
                                         "tiny-1.5", "tiny-1.5-i2v", "tiny-fun-2b", "tiny-fun-5b"));
INSTANTIATE_TEST_SUITE_P(Tiny, TransformerBlockGolden,
                         testing::Values("tiny-2b", "tiny-5b", "tiny-30x16"));

}  // namespace
}  // namespace cogvx
