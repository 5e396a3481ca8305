#include "core/vae/encoder.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>

#include "core/base/errors.h"
#include "core/weights/mapped_file.h"
#include "core/weights/safetensors.h"
#include "tests/support/cpu_path.h"
#include "tests/support/tiny_models.h"

namespace cogvx {
namespace {

using namespace test;

class VaeHalves : public testing::Test {
 protected:
  std::filesystem::path file() const {
    return checkpoint_->dir / "vae" / "diffusion_pytorch_model.safetensors";
  }
  // NaN into every tensor whose name starts so.
  void spoil(const std::string& prefix) {
    SafetensorsHeader header;
    {
      const MappedFile mapped(file());
      header = parse_safetensors(mapped.bytes(), file().string());
    }
    std::fstream stream(file(), std::ios::in | std::ios::out | std::ios::binary);
    const float bad = std::numeric_limits<float>::quiet_NaN();
    for (const StoredTensor& tensor : header.tensors) {
      if (!tensor.name.starts_with(prefix)) continue;
      stream.seekp(static_cast<std::streamoff>(tensor.begin));
      stream.write(reinterpret_cast<const char*>(&bad), sizeof(bad));
    }
  }
  std::string refusal_of_encoder() {
    try {
      load_vae_encoder(*checkpoint_, at::kFloat, ops_);
    } catch (const DataError& error) {
      return error.what();
    }
    return "";
  }
  std::string refusal_of_decoder() {
    try {
      load_vae(*checkpoint_, at::kFloat, ops_);
    } catch (const DataError& error) {
      return error.what();
    }
    return "";
  }

  TinyCheckpoint checkpoint_{"tiny-30x16"};
  ThreadPool pool_{1};
  CpuOps ops_{pool_, test::cpu_path()};
};

TEST_F(VaeHalves, TheEncoderReadsNothingOfTheDecoder) {
  spoil("decoder.");
  EXPECT_EQ(refusal_of_encoder(), "");
  EXPECT_THAT(refusal_of_decoder(),
              testing::HasSubstr("'decoder.conv_in.conv.weight' holds 1 NaN"));
}

TEST_F(VaeHalves, TheDecoderReadsNothingOfTheEncoder) {
  spoil("encoder.");
  EXPECT_EQ(refusal_of_decoder(), "");
  EXPECT_THAT(refusal_of_encoder(),
              testing::HasSubstr("'encoder.conv_in.conv.weight' holds 1 NaN"));
}

TEST_F(VaeHalves, BothComeFromOneMapInAnyOrder) {
  for (const bool encoder_first : {true, false}) {
    WeightMap weights(checkpoint_->dir / "vae", "diffusion_pytorch_model");
    if (encoder_first) VaeEncoder(checkpoint_->vae, weights, at::kFloat, ops_);
    VaeDecoder(checkpoint_->vae, weights, at::kFloat, ops_);
    if (!encoder_first) VaeEncoder(checkpoint_->vae, weights, at::kFloat, ops_);
    EXPECT_THROW(VaeEncoder(checkpoint_->vae, weights, at::kFloat, ops_), std::logic_error);
  }
}

class Encoder : public VaeHalves {};

TEST_F(Encoder, SizesThatAreNoMultipleOfEightAreCutAsInDiffusers) {
  const VaeEncoder encoder = load_vae_encoder(*checkpoint_, at::kFloat, ops_);
  CausalCache cache;
  EXPECT_EQ(encoder.encode_chunk(at::zeros({3, 5, 20, 31}), cache).sizes(),
            at::IntArrayRef({32, 2, 2, 3}));
}

TEST_F(Encoder, MomentsThatAreNotFiniteAreRefusedByName) {
  const VaeEncoder encoder = load_vae_encoder(*checkpoint_, at::kFloat, ops_);
  at::Tensor pixels = at::zeros({1, 3, 1, 16, 16});
  pixels[0][0][0][3][3] = std::numeric_limits<float>::infinity();
  std::string said;
  try {
    encode_moments(*checkpoint_, encoder, pixels, /*tiling=*/false);
  } catch (const NumericError& error) {
    said = error.what();
  }
  EXPECT_THAT(said, testing::StartsWith("encode: the image or video gave moments that are not "
                                        "finite in fp32; "));
}

TEST_F(Encoder, ProgressNamesTilesAndTheirChunksAndCanStopIt) {
  const VaeEncoder encoder = load_vae_encoder(*checkpoint_, at::kFloat, ops_);
  OneWorker work;
  UnitLedger units;
  std::vector<Progress> seen;
  Monitor monitor;
  monitor.on_progress = [&](const Progress& now) { seen.push_back(now); };
  // Four tiles of two chunks.
  const at::Tensor pixels = at::zeros({3, 17, 56, 56});
  encode_video({{48, 40}, encoder, work, {nullptr, &units}}, pixels, monitor);
  EXPECT_EQ(units, (UnitLedger{.vae_tiles = 4}));
  ASSERT_EQ(seen.size(), 4U * 3 + 1);
  for (size_t i = 0; i < seen.size(); ++i) {
    EXPECT_EQ(seen[i].stage, Stage::kEncodeVideo);
    EXPECT_EQ(seen[i].done, static_cast<int64_t>(i / 3));
    EXPECT_EQ(seen[i].total, 4);
    EXPECT_EQ(seen[i].layer, static_cast<int64_t>(i % 3));
    EXPECT_EQ(seen[i].part, static_cast<double>(i % 3) / 2);
  }
  const std::atomic<int> stop{2};
  monitor.stop_signal = &stop;
  EXPECT_THROW(encode_video({{}, encoder, work}, pixels, monitor), Interrupted);
}

}  // namespace
}  // namespace cogvx
