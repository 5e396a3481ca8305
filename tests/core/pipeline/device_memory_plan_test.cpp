#include "core/pipeline/device_memory_plan.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <optional>

#include "core/ops/sequential_offload.h"
#include "tests/support/cpu_path.h"
#include "tests/support/cuda_like_ops.h"
#include "tests/support/tiny_models.h"

// What lies on the device at most, measured on the fake device, against the plan.
namespace cogvx {
namespace {

using namespace test;

// Of the plan: with more a run ends for want of memory, with much less it is refused for nothing.
constexpr double kMost = 1.15;
constexpr double kLeast = 0.6;
constexpr double kEncoderBand = 0.02;  // its plan follows it tensor by tensor

struct Size {
  int64_t width;
  int64_t height;
  int64_t frames;
  TileSize tile{};
};

class DeviceMemoryPlan : public testing::Test {
 protected:
  // Loads and drops each component as a run does.
  MemoryPlan measured(const Checkpoint& checkpoint, const Request& request, Offload offload) {
    std::unique_ptr<Ops> owned = std::make_unique<CudaLikeOps>(device_);
    if (offload == Offload::kSequential)
      owned = std::make_unique<SequentialOffload>(std::move(owned));
    Ops& ops = *owned;
    MemoryPlan peaks;
    const TransformerConfig& config = checkpoint.transformer;
    const at::Tensor text =
        at::zeros({request.max_text_tokens, config.text_embed_dim}).to(request.dtype);
    const int64_t before = device_bytes();
    ops.take_peak_bytes();
    {
      const std::vector<int64_t> ids(static_cast<size_t>(request.max_text_tokens), 3);
      std::vector<int64_t> others = ids;
      others[0] = 4;
      encode_texts(checkpoint, {{.prompt = ids, .negative = others}}, request.dtype, ops, {});
    }
    peaks.encode_text = ops.take_peak_bytes() - before;
    std::optional<IdentityExchange> exchange(std::in_place);
    OneWorker work;
    DenoiseState state = initial_state(request, latent_shape(request, checkpoint), work);
    {
      Transformer transformer = load_transformer(checkpoint, request.dtype, ops);
      const TextStates texts{.prompt = text, .negative = text};
      denoise({request, transformer, texts, *exchange, work}, state, {});
    }
    peaks.denoise = ops.take_peak_bytes() - before;
    {
      const VaeDecoder decoder = load_vae(checkpoint, request.dtype, ops);
      decode_frames(request, checkpoint, decoder, state.latents_LCYX.unsqueeze(0));
    }
    peaks.decode = ops.take_peak_bytes() - before;
    exchange.reset();
    EXPECT_EQ(device_bytes(), before);
    return peaks;
  }

  int64_t measured_encode(const Checkpoint& checkpoint, const Request& request) {
    CudaLikeOps ops(device_);
    const int64_t before = device_bytes();
    ops.take_peak_bytes();
    OneWorker work;
    const VaeEncoder encoder = load_vae_encoder(checkpoint, request.dtype, ops);
    const at::Tensor pixels = at::zeros({3, request.num_frames, request.height, request.width});
    encode_video({request.vae_tile, encoder, work}, pixels.to(request.dtype), {});
    return ops.take_peak_bytes() - before;
  }

  void expect_band(const char* stage, int64_t found, int64_t plan) {
    const double share = static_cast<double>(found) / static_cast<double>(plan);
    RecordProperty(stage, std::to_string(share));
    EXPECT_LE(share, kMost) << stage << ": " << found << " of " << plan;
    EXPECT_GE(share, kLeast) << stage << ": " << found << " of " << plan;
  }

  void compare(const Checkpoint& checkpoint, Request request, const Size& size) {
    request.width = size.width;
    request.height = size.height;
    request.num_frames = size.frames;
    request.vae_tile = size.tile;
    request.steps = 1;
    request.guidance_scale = 6;
    request.scheduler = checkpoint.scheduler;
    request.max_text_tokens = checkpoint.transformer.max_text_seq_length;
    for (const Offload offload : {Offload::kNone, Offload::kSequential}) {
      SCOPED_TRACE(std::to_string(size.width) + "x" + std::to_string(size.height) + "x" +
                   std::to_string(size.frames) + (offload == Offload::kNone ? "" : ", sequential"));
      const MemoryPlan found = measured(checkpoint, request, offload);
      const MemoryPlan plan =
          plan_device_memory(checkpoint, request, whole_share(checkpoint, request), offload);
      expect_band("encode_text", found.encode_text, plan.encode_text);
      expect_band("denoise", found.denoise, plan.denoise);
      expect_band("decode", found.decode, plan.decode);
    }
    const int64_t encoding = plan_device_encode_video(checkpoint, request, request.num_frames,
                                                      whole_share(checkpoint, request));
    EXPECT_NEAR(
        static_cast<double>(measured_encode(checkpoint, request)) / static_cast<double>(encoding),
        1, kEncoderBand);
  }

  ThreadPool pool_{2};
  CpuOps cpu_{pool_, test::cpu_path()};
  FakeDeviceOps device_{cpu_};
};

TEST_F(DeviceMemoryPlan, HoldsForTheTinyModels) {
  for (const char* name : {"tiny-2b", "tiny-5b", "tiny-30x16"}) {
    for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
      SCOPED_TRACE(std::string(name) + " " + at::toString(dtype));
      const TinyCheckpoint checkpoint(
          name, dtype == at::kFloat ? StoredDtype::kFp32 : StoredDtype::kBf16);
      Request request;
      request.dtype = dtype;
      compare(*checkpoint, request, {128, 96, 9, {48, 80}});
      compare(*checkpoint, request, {160, 96, 17});
      compare(*checkpoint, request, {64, 64, 1});
    }
  }
}

// Two layers of 2B and its VAE.
TEST_F(DeviceMemoryPlan, HoldsForTheGeometryOf2b) {
  const TemporaryFolder folder;
  const std::string command = "python3 '" +
                              (source_dir() / "scripts" / "make_random_checkpoint.py").string() +
                              "' --geometry 2b --layers 2 --tokenizer '" +
                              (source_dir() / "configs/demo/tokenizer/spiece.model").string() +
                              "' '" + folder.path().string() + "'";
  ASSERT_EQ(std::system(command.c_str()), 0);
  Request request;
  request.dtype = at::kBFloat16;
  compare(open_checkpoint(folder.path()), request, {80, 64, 9});
}

}  // namespace
}  // namespace cogvx
