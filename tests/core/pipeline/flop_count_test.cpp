// The formulas against the calls that real runs of tiny models make.
#include "core/pipeline/flop_count.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/support/cpu_path.h"
#include "tests/support/passing_ops.h"
#include "tests/support/tiny_models.h"

namespace cogvx {
namespace {
using namespace test;

class CountingOps final : public PassingOps {
 public:
  explicit CountingOps(Ops& inner) : PassingOps(inner) {}

  at::Tensor linear(const at::Tensor& x, const LinearWeights& weights,
                    const LinearCall& call) override {
    flops.linear += 2 * x.size(0) * weights.in * weights.out;
    return PassingOps::linear(x, weights, call);
  }
  void add_linear(at::Tensor& x, const at::Tensor& y, const LinearWeights& weights,
                  const GatedLinearCall& call) override {
    flops.linear += 2 * y.size(0) * weights.in * weights.out;
    PassingOps::add_linear(x, y, weights, call);
  }
  void attention(const at::Tensor& qkv, std::span<const AttentionRun> runs,
                 at::Tensor& out) override {
    const int64_t rows = qkv.size(2);
    for (const AttentionRun& run : runs) {
      const int64_t queries = std::min(rows, 64 * run.tile_end) - 64 * run.tile_begin;
      flops.attention += 4 * queries * rows * qkv.size(3);
    }
    PassingOps::attention(qkv, runs, out);
  }
  at::Tensor biased_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                              const at::Tensor& bias) override {
    flops.attention += 4 * q.size(0) * k.size(0) * q.size(1);
    return PassingOps::biased_attention(q, k, v, bias);
  }
  at::Tensor convolution(ConvCall call, const ConvWeights& weights) override {
    at::Tensor y = PassingOps::convolution(std::move(call), weights);
    convolved += 2 * weights.in * weights.kernel.taps() * y.numel();
    return y;
  }

  PassFlops flops;
  int64_t convolved = 0;
};

class FlopCount : public testing::TestWithParam<const char*> {
 protected:
  FlopCount() : checkpoint_(GetParam()), pool_(1), cpu_(pool_, test::cpu_path()), ops_(cpu_) {
    request_.width = 8 * checkpoint_->transformer.sample_width;
    request_.height = 8 * checkpoint_->transformer.sample_height;
    request_.num_frames = checkpoint_->transformer.sample_frames;
    request_.steps = 1;
    request_.guidance_scale = 1;
    request_.max_text_tokens = checkpoint_->transformer.max_text_seq_length;
    request_.scheduler = checkpoint_->scheduler;
  }

  TinyCheckpoint checkpoint_;
  ThreadPool pool_;
  CpuOps cpu_;
  CountingOps ops_;
  Request request_;
};

TEST_P(FlopCount, OfAPassIsWhatItsCallsDo) {
  const TransformerConfig& c = checkpoint_->transformer;
  Transformer transformer = load_transformer(*checkpoint_, at::kFloat, ops_);
  const LatentShape shape = latent_shape(request_, *checkpoint_);
  const at::Tensor latents = at::zeros({shape.frames, c.in_channels, shape.height, shape.width});
  const at::Tensor text = at::zeros({request_.max_text_tokens, c.text_embed_dim});
  IdentityExchange exchange;
  transformer.forward(latents, text, /*timestep=*/900, exchange);
  EXPECT_EQ(transformer_flops(request_, *checkpoint_, whole_pass(request_, *checkpoint_)).linear,
            ops_.flops.linear);
  EXPECT_EQ(transformer_flops(request_, *checkpoint_, whole_pass(request_, *checkpoint_)).attention,
            ops_.flops.attention);
}

TEST_P(FlopCount, OfATextIsWhatItsCallsDo) {
  const std::vector<int64_t> ids(static_cast<size_t>(request_.max_text_tokens), 3);
  encode_texts(*checkpoint_, {{.prompt = ids, .negative = {}}}, at::kFloat, ops_, {});
  EXPECT_EQ(text_flops(request_, *checkpoint_), ops_.flops.total());
}

TEST_P(FlopCount, OfTheTilesOfAVideoIsWhatTheirConvolutionsDo) {
  request_.vae_tile = {48, 40};
  request_.width = 96;
  request_.height = 64;
  const LatentShape shape = latent_shape(request_, *checkpoint_);
  const VaeDecoder decoder = load_vae(*checkpoint_, at::kFloat, ops_);
  decode_frames(request_, *checkpoint_, decoder,
                at::zeros({1, shape.decoded(), shape.channels, shape.height, shape.width}));
  int64_t expected = 0;
  const TileLayout layout = plan_tiles(request_.vae_tile, shape.height, shape.width);
  ASSERT_GT(layout.tiles.size(), 1U);
  for (const Tile& tile : layout.tiles)
    expected += decode_tile_flops(request_, *checkpoint_, tile.height, tile.width);
  EXPECT_EQ(expected, ops_.convolved);
}

TEST_P(FlopCount, OfAnInputIsWhatTheEncodersConvolutionsDo) {
  request_.task = Task::kVideoToVideo;
  const VaeEncoder encoder = load_vae_encoder(*checkpoint_, at::kFloat, ops_);
  OneWorker work;
  encode_video({request_.vae_tile, encoder, work},
               at::zeros({3, request_.num_frames, request_.height, request_.width}), {});
  EXPECT_EQ(encode_tile_flops(request_, *checkpoint_, request_.height, request_.width),
            ops_.convolved);
}

TEST_P(FlopCount, SharesOfAPassAddUpToItButForConditioning) {
  const PassFlops whole =
      transformer_flops(request_, *checkpoint_, whole_pass(request_, *checkpoint_));
  const int64_t rows = joint_rows(request_, *checkpoint_);
  const int64_t heads = checkpoint_->transformer.num_attention_heads;
  const PassFlops none = transformer_flops(request_, *checkpoint_, {{0, 0}, 0});
  const PassFlops first = transformer_flops(request_, *checkpoint_, {{0, 64}, heads * 64});
  const PassFlops rest =
      transformer_flops(request_, *checkpoint_, {{64, rows}, heads * (rows - 64)});
  EXPECT_EQ(first.linear + rest.linear, whole.linear + none.linear);
  EXPECT_EQ(first.attention + rest.attention, whole.attention);
}

INSTANTIATE_TEST_SUITE_P(Kinds, FlopCount,
                         testing::Values("tiny-2b", "tiny-5b", "tiny-5b-i2v", "tiny-1.5",
                                         "tiny-1.5-i2v", "tiny-fun-2b", "tiny-fun-5b"));

}  // namespace
}  // namespace cogvx
