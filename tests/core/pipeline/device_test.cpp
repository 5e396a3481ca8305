#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <ostream>
#include <utility>
#include <vector>

#include "core/base/errors.h"
#include "core/ops/sequential_offload.h"
#include "tests/support/cpu_path.h"
#include "tests/support/fake_device.h"
#include "tests/support/tiny_models.h"

// Where tensors live: what an Ops on another device gets has been uploaded, results come back once,
// and the bytes are those of the host.
namespace cogvx {
namespace {

using namespace test;

struct Setting {
  const char* checkpoint;
  at::ScalarType dtype;
};

void PrintTo(const Setting& setting, std::ostream* out) {
  *out << setting.checkpoint << " " << setting.dtype;
}

DeviceTraffic operator-(const DeviceTraffic& a, const DeviceTraffic& b) {
  return {a.to_device - b.to_device, a.to_host - b.to_host};
}

class OnADevice : public testing::TestWithParam<Setting> {
 protected:
  OnADevice()
      : checkpoint_(GetParam().checkpoint,
                    dtype() == at::kFloat ? StoredDtype::kFp32 : StoredDtype::kBf16),
        pool_(2),
        cpu_(pool_, test::cpu_path()),
        device_(cpu_),
        before_(device_traffic()) {}

  at::ScalarType dtype() const { return GetParam().dtype; }
  at::Tensor random(at::IntArrayRef sizes) const {
    at::Generator generator = at::detail::createCPUGenerator(7);
    return at::randn(sizes, generator).to(dtype());
  }
  // Of a size that the model has positions for, learned ones where it has any.
  at::Tensor random_latents() const {
    const TransformerConfig& c = checkpoint_->transformer;
    const bool learned = c.use_learned_positional_embeddings;
    return random({c.patch_size_t > 0 ? 4 : 3, c.in_channels, learned ? c.sample_height : 8,
                   learned ? c.sample_width : 12});
  }
  // All that moved since the last call or the test's begin; what the models asked the Ops for, and
  // nothing else, moves.
  DeviceTraffic moved() {
    const DeviceTraffic now = device_traffic();
    EXPECT_EQ((now - before_).to_device, (device_.asked() - asked_before_).to_device);
    EXPECT_EQ((now - before_).to_host, (device_.asked() - asked_before_).to_host);
    const DeviceTraffic since = now - before_;
    before_ = now;
    asked_before_ = device_.asked();
    return since;
  }

  TinyCheckpoint checkpoint_;
  ThreadPool pool_;
  CpuOps cpu_;
  FakeDeviceOps device_;
  DeviceTraffic before_;
  DeviceTraffic asked_before_;
};

using TransformerOnADevice = OnADevice;

TEST_P(TransformerOnADevice, ATransformerGivesTheHostsBytesAndDownloadsOnce) {
  Transformer here = load_transformer(*checkpoint_, dtype(), cpu_);
  Transformer there = load_transformer(*checkpoint_, dtype(), device_);
  EXPECT_EQ(moved().to_host, 0);
  const TransformerConfig& config = checkpoint_->transformer;
  const at::Tensor latents = random_latents();
  const at::Tensor text = random({config.max_text_seq_length, config.text_embed_dim});
  IdentityExchange exchange_here, exchange_there;
  for (const int64_t timestep : {999, 500}) {
    const at::Tensor wanted = here.forward(latents, text, timestep, exchange_here);
    const at::Tensor found = there.forward(latents, text, timestep, exchange_there);
    EXPECT_TRUE(found.is_cpu());
    EXPECT_TRUE(same_bytes(found, wanted));
    // Time, ofs, text and patches go in each time; the tables of positions the first time.
    const int64_t rotary = config.use_rotary_positional_embeddings ? 2 : 0;
    const int64_t added = rotary == 0 || config.use_learned_positional_embeddings ? 1 : 0;
    const int64_t inputs = config.ofs_embed_dim > 0 ? 4 : 3;
    EXPECT_EQ(moved(), (DeviceTraffic{timestep == 999 ? inputs + rotary + added : inputs, 1}));
  }
}

TEST_P(OnADevice, RowsThatAreWatchedLieOnTheHost) {
  Transformer there = load_transformer(*checkpoint_, dtype(), device_);
  const TransformerConfig& config = checkpoint_->transformer;
  IdentityExchange exchange;
  int64_t layers = 0;
  there.forward(random({1, config.in_channels, 4, 4}),
                random({config.max_text_seq_length, config.text_embed_dim}), 1, exchange,
                {.after_block = {}, .on_rows = [&](int64_t, const at::Tensor& x_nD) {
                   EXPECT_TRUE(x_nD.is_cpu());
                   ++layers;
                 }});
  EXPECT_EQ(layers, config.num_layers + 1);
  EXPECT_EQ(moved().to_host, layers + 1);
}

TEST_P(OnADevice, ADecoderGivesTheHostsBytesAndDownloadsEveryChunkOnce) {
  const VaeDecoder here = load_vae(*checkpoint_, dtype(), cpu_);
  const VaeDecoder there = load_vae(*checkpoint_, dtype(), device_);
  EXPECT_EQ(moved().to_host, 0);
  const at::Tensor latents = random({checkpoint_->vae.latent_channels, 5, 4, 6});
  const Tile whole{0, 0, 4, 6};
  const at::Tensor found = decode_tile(there, latents, whole);
  EXPECT_TRUE(found.is_cpu());
  EXPECT_TRUE(same_bytes(found, decode_tile(here, latents, whole)));
  const auto chunks = static_cast<int64_t>(temporal_chunks(5).size());
  ASSERT_EQ(chunks, 2);
  EXPECT_EQ(moved(), (DeviceTraffic{chunks, chunks}));
}

TEST_P(OnADevice, AnEncoderGivesTheHostsBytesAndDownloadsEveryChunkOnce) {
  const at::Tensor pixels = random({3, 17, 24, 40});
  const Tile whole{0, 0, 24, 40};
  const VaeEncoder here = load_vae_encoder(*checkpoint_, dtype(), cpu_);
  const VaeEncoder there = load_vae_encoder(*checkpoint_, dtype(), device_);
  EXPECT_EQ(moved().to_host, 0);
  const at::Tensor found = encode_tile(there, pixels, whole);
  EXPECT_TRUE(found.is_cpu());
  EXPECT_TRUE(same_bytes(found, encode_tile(here, pixels, whole)));
  ASSERT_EQ(encoder_chunks(17).size(), 2U);
  EXPECT_EQ(moved(), (DeviceTraffic{2, 2}));
}

TEST_P(OnADevice, MomentsOfTilesAreBlendedThereAndAreTheHosts) {
  const at::Tensor pixels = random({3, 5, 56, 96});
  OneWorker work;
  const auto encode = [&](Ops& ops) {
    const VaeEncoder encoder = load_vae_encoder(*checkpoint_, dtype(), ops);
    if (&ops == &device_) moved();
    return encode_video({{48, 80}, encoder, work}, pixels, Monitor{});
  };
  const at::Tensor found = encode(device_);
  // Four tiles of one chunk: there and back, there again, and the moments back.
  EXPECT_EQ(moved(), (DeviceTraffic{8, 5}));
  EXPECT_TRUE(found.is_cpu());
  EXPECT_TRUE(same_bytes(found, encode(cpu_)));
}

TEST_P(OnADevice, ATextEncoderGivesTheHostsBytesAndDownloadsEveryPromptOnce) {
  const GoldenCase any = golden_cases("tiny-2b", "pipeline").front();
  const auto encode = [&](Ops& ops) {
    return encode_ids(*checkpoint_, any.output("prompt_ids"), dtype(), ops);
  };
  const at::Tensor found = encode(device_);
  EXPECT_TRUE(found.is_cpu());
  EXPECT_EQ(moved().to_host, 1);
  EXPECT_TRUE(same_bytes(found, encode(cpu_)));
}

TEST_P(OnADevice, LatentsAndFramesOfAWholeRunAreTheHosts) {
  nlohmann::json params = golden_cases("tiny-2b", "pipeline").front().params();
  params["width"] = 96;
  params["height"] = 64;
  params["num_frames"] = 5;
  params["steps"] = 2;
  Request request = golden_request(*checkpoint_, params, 5, dtype());
  request.vae_tile = {.height = 48, .width = 80};
  const TransformerConfig& config = checkpoint_->transformer;
  const TextStates text{.prompt = random({config.max_text_seq_length, config.text_embed_dim}),
                        .negative = random({config.max_text_seq_length, config.text_embed_dim})};
  const auto run = [&](Ops& ops) {
    Transformer transformer = load_transformer(*checkpoint_, dtype(), ops);
    const at::Tensor latents = run_denoise(request, *checkpoint_, transformer, text).final;
    const VaeDecoder decoder = load_vae(*checkpoint_, dtype(), ops);
    if (&ops == &device_) moved();
    return std::pair{latents, decode_frames(request, *checkpoint_, decoder, latents)};
  };
  const auto [latents, frames] = run(device_);
  // Each of the tiles, of one chunk, comes back for whoever blends them, and goes there; of the
  // video only the bytes come back.
  const auto tiles = std::ssize(plan_tiles(request.vae_tile, 8, 12).tiles);
  ASSERT_EQ(tiles, 4);
  EXPECT_EQ(moved(), (DeviceTraffic{2 * tiles, tiles + 1}));
  const auto [wanted_latents, wanted_frames] = run(cpu_);
  EXPECT_TRUE(same_bytes(latents, wanted_latents));
  EXPECT_TRUE(same_bytes(frames, wanted_frames));
}

TEST_P(OnADevice, AFrameThatIsNotFiniteIsSeenThereInTheHostsWords) {
  // One latent frame makes one frame of the video here, and nothing bounds what the decoder gives.
  at::Tensor latents = random({1, checkpoint_->vae.latent_channels, 4, 6});
  latents[0][0][1][1] = std::numeric_limits<float>::infinity();
  Request request;
  const auto refusal = [&](Ops& ops) -> std::string {
    const VaeDecoder decoder = load_vae(*checkpoint_, dtype(), ops);
    try {
      decode_frames(request, *checkpoint_, decoder, latents.unsqueeze(0));
    } catch (const NumericError& error) {
      return error.what();
    }
    return "nothing";
  };
  EXPECT_THAT(refusal(device_),
              testing::StartsWith("decode: frame 0 has values that are not finite"));
  EXPECT_EQ(refusal(device_), refusal(cpu_));
}

TEST_P(OnADevice, ComponentsLeaveTheDeviceWhenTheyGo) {
  const int64_t before = device_bytes();
  {
    const VaeDecoder decoder = load_vae(*checkpoint_, dtype(), device_);
    const Transformer transformer = load_transformer(*checkpoint_, dtype(), device_);
    EXPECT_GT(device_bytes(), before);
  }
  EXPECT_EQ(device_bytes(), before);
}

// Which layers came to the device and which were used, in their order.
class LayerWatch final : public PassingOps {
 public:
  using PassingOps::PassingOps;
  LinearWeights pack_linear(const at::Tensor& weight, const at::Tensor& bias) override {
    packed.push_back(weight.const_data_ptr());
    return inner_.pack_linear(weight, bias);
  }
  at::Tensor linear(const at::Tensor& x, const LinearWeights& weights,
                    const LinearCall& call) override {
    packed_before_use.push_back(static_cast<int64_t>(packed.size()));
    return inner_.linear(x, weights, call);
  }
  void add_linear(at::Tensor& x, const at::Tensor& y, const LinearWeights& weights,
                  const GatedLinearCall& call) override {
    packed_before_use.push_back(static_cast<int64_t>(packed.size()));
    inner_.add_linear(x, y, weights, call);
  }
  std::vector<const void*> packed;
  std::vector<int64_t> packed_before_use;
};

TEST_P(TransformerOnADevice, SequentialOffloadBringsEveryLayerWhenItIsUsedAndGivesTheSameBytes) {
  const TransformerConfig& config = checkpoint_->transformer;
  const at::Tensor latents = random_latents();
  const at::Tensor text = random({config.max_text_seq_length, config.text_embed_dim});
  const auto forward = [&](Transformer& transformer) {
    IdentityExchange exchange;
    return transformer.forward(latents, text, 500, exchange);
  };
  const int64_t empty = device_bytes();
  at::Tensor wanted;
  int64_t resident = 0;
  {
    Transformer whole = load_transformer(*checkpoint_, dtype(), device_);
    resident = device_bytes() - empty;
    wanted = forward(whole);
  }
  auto watch = std::make_unique<LayerWatch>(device_);
  LayerWatch& layers = *watch;
  SequentialOffload offload(std::move(watch));
  Transformer transformer = load_transformer(*checkpoint_, dtype(), offload);
  EXPECT_TRUE(layers.packed.empty());
  EXPECT_LT(device_bytes() - empty, resident / 10);  // norms
  EXPECT_TRUE(same_bytes(forward(transformer), wanted));
  // Two of time, two of ofs, text, patches, two at the end; per block two for modulation, qkv, out
  // and two of the feed-forward.
  const int64_t uses = 6 + (config.ofs_embed_dim > 0 ? 2 : 0) + 6 * config.num_layers;
  // Before them one of each kind whose rows are shared out, for its kernel to be tried.
  const int64_t tried = 7;
  ASSERT_EQ(std::ssize(layers.packed_before_use), uses);
  for (int64_t i = 0; i < uses; ++i) EXPECT_EQ(layers.packed_before_use[i], tried + i + 1);
  // A second pass takes the layers in the same order, each from the same place on the host.
  std::vector<const void*> first = std::exchange(layers.packed, {});
  first.erase(first.begin(), first.begin() + tried);
  forward(transformer);
  EXPECT_EQ(layers.packed, first);
}

TEST_P(OnADevice, SequentialOffloadBringsTheTextEncodersLayersForEachPrompt) {
  const GoldenCase any = golden_cases("tiny-2b", "pipeline").front();
  const auto encode = [&](Ops& ops) {
    return encode_ids(*checkpoint_, any.output("prompt_ids"), dtype(), ops);
  };
  auto watch = std::make_unique<LayerWatch>(device_);
  LayerWatch& layers = *watch;
  SequentialOffload offload(std::move(watch));
  EXPECT_TRUE(same_bytes(encode(offload), encode(cpu_)));
  // q, k, v, o and three of the feed-forward.
  const int64_t uses = 7 * checkpoint_->text_encoder.num_layers;
  ASSERT_EQ(std::ssize(layers.packed_before_use), uses);
  for (int64_t i = 0; i < uses; ++i) EXPECT_EQ(layers.packed_before_use[i], i + 1);
}

// What makes the tests above able to fail.
TEST_P(OnADevice, TensorsThatWereNotUploadedAreRefused) {
  const at::Tensor host = random({2, 64});
  const at::Tensor there = device_.upload(host);
  const LinearWeights weights = device_.pack_linear(random({64, 64}), random({64}));
  EXPECT_THROW(device_.linear(host, weights, {}), std::logic_error);
  EXPECT_NO_THROW(device_.linear(there, weights, {}));
  EXPECT_THROW(device_.linear(there, cpu_.pack_linear(random({64, 64}), random({64})), {}),
               std::logic_error);
  EXPECT_THROW(there + host, c10::Error);
  EXPECT_THROW(at::cat({host, there}), std::logic_error);
  EXPECT_THROW(device_.upload(there), std::logic_error);
  EXPECT_THROW(device_.download(host), std::logic_error);
}

INSTANTIATE_TEST_SUITE_P(Tiny, OnADevice,
                         testing::Values(Setting{"tiny-2b", at::kFloat},
                                         Setting{"tiny-5b", at::kBFloat16},
                                         Setting{"tiny-30x16", at::kFloat}));

INSTANTIATE_TEST_SUITE_P(Tiny, TransformerOnADevice,
                         testing::Values(Setting{"tiny-2b", at::kFloat},
                                         Setting{"tiny-5b", at::kBFloat16},
                                         Setting{"tiny-30x16", at::kFloat},
                                         Setting{"tiny-5b-i2v", at::kBFloat16},
                                         Setting{"tiny-1.5-i2v", at::kFloat}));

}  // namespace
}  // namespace cogvx
