#include "parallel/device_share.h"

#include <gtest/gtest.h>

#include "core/base/thread_pool.h"
#include "core/ops/cpu/cpu_ops.h"
#include "core/ops/sequential_offload.h"
#include "core/transformer/transformer.h"
#include "core/weights/weight_map.h"
#include "tests/parallel/sequence_modes.h"
#include "tests/parallel/tiny_transformer.h"
#include "tests/support/cpu_path.h"
#include "tests/support/cuda_like_ops.h"
#include "tests/support/test_paths.h"

// What one rank's device holds, against the plan. The others are not there: nothing is sent, so
// that all that lies on the fake device is this rank's.
namespace cogvx {
namespace {

using namespace test;

class SilentGroup final : public Group {
 public:
  explicit SilentGroup(SequencePlace place) : place_(place) {}
  int rank() const override { return place_.rank; }
  int size() const override { return place_.ranks; }
  Transfer begin_all_to_all(const at::Tensor&, const Splits&, const at::Tensor&,
                            const Splits&) override {
    return Transfer([] {});
  }
  void broadcast(const at::Tensor&, int) override {}
  void barrier() override {}

 private:
  SequencePlace place_;
};

class DeviceShareOfARank : public testing::TestWithParam<SequenceMode> {
 protected:
  ThreadPool pool_{1};
  CpuOps cpu_{pool_, test::cpu_path()};
  FakeDeviceOps device_{cpu_};
};

TEST_P(DeviceShareOfARank, BuffersAreWhatTheExchangeHolds) {
  // Whole heads, uneven ones, ranks that share a head, ranks without rows.
  for (const int64_t heads : {4, 3, 30}) {
    for (const int64_t rows : {130, 1000}) {
      const SequenceShape shape{rows, heads, 16, at::kBFloat16, fake_device()};
      for (const int ranks : {2, 3, 5, 8}) {
        for (int rank = 0; rank < ranks; ++rank) {
          SCOPED_TRACE(std::to_string(heads) + " heads, " + std::to_string(rows) + " rows, rank " +
                       std::to_string(rank) + " of " + std::to_string(ranks));
          SilentGroup group({rank, ranks});
          const int64_t before = device_bytes();
          const auto exchange = make_shared_sequence(GetParam(), group);
          exchange->begin_sequence(shape);
          const DeviceShare share = sequence_share(GetParam(), shape, {rank, ranks});
          EXPECT_EQ(share.exchange_bytes, device_bytes() - before);
          EXPECT_EQ(share.rows, exchange->rows().size());
          const auto runs = exchange->runs(0);
          EXPECT_EQ(share.heads, runs.empty() ? 0 : runs.back().head - runs.front().head + 1);
        }
      }
    }
  }
}

// A forward pass of each rank, against the plan of its share.
void expect_plan_holds(SequenceMode mode, Ops& device, const TinyConfig& tiny,
                       const Request& request) {
  const TransformerConfig config = tiny_transformer_config(tiny);
  const TemporaryFolder folder;
  write_random_checkpoint(folder.path(), config, 7);
  Checkpoint checkpoint;
  checkpoint.transformer = config;
  const ForwardInputs input = random_inputs(config, video_grid(request, checkpoint),
                                            request.max_text_tokens, request.dtype, 11);
  const SequenceShape shape{joint_rows(request, checkpoint), 4, 64, request.dtype, fake_device()};
  for (const int ranks : {1, 2, 4}) {
    for (int rank = 0; rank < ranks; ++rank) {
      for (const Offload offload : {Offload::kNone, Offload::kSequential}) {
        SCOPED_TRACE("rank " + std::to_string(rank) + " of " + std::to_string(ranks) +
                     (offload == Offload::kNone ? "" : ", sequential"));
        std::unique_ptr<Ops> ops = std::make_unique<CudaLikeOps>(device);
        if (offload == Offload::kSequential)
          ops = std::make_unique<SequentialOffload>(std::move(ops));
        SilentGroup group({rank, ranks});
        const int64_t before = device_bytes();
        ops->take_peak_bytes();
        WeightMap weights(folder.path(), "diffusion_pytorch_model");
        Transformer transformer(config, weights, request.dtype, *ops);
        const auto exchange = make_shared_sequence(mode, group);
        transformer.forward(input.latents_LCYX, input.text_TE, input.timestep, *exchange);
        const auto found = static_cast<double>(ops->take_peak_bytes() - before);
        const MemoryPlan plan = plan_device_memory(
            checkpoint, request, sequence_share(mode, shape, {rank, ranks}), offload);
        EXPECT_LE(found, 1.15 * static_cast<double>(plan.denoise));
        EXPECT_GE(found, 0.6 * static_cast<double>(plan.denoise));
      }
    }
  }
}

TEST_P(DeviceShareOfARank, DenoisingHoldsWhatThePlanSays) {
  Request request;
  request.dtype = at::kFloat;
  request.width = 96;
  request.height = 160;
  request.num_frames = 9;
  request.max_text_tokens = 226;
  expect_plan_holds(GetParam(), device_, {.heads = 4}, request);
  request.num_frames = 13;
  expect_plan_holds(GetParam(), device_, {.heads = 4, .rotary = true, .patch_size_t = 2}, request);
  // The size, the length and the text that the learned positions are for, and another length.
  const TinyConfig learned{.heads = 4, .rotary = true, .conditioned = true, .learned = true};
  request.width = 288;
  request.max_text_tokens = 37;
  for (const int64_t frames : {9, 13}) {
    request.num_frames = frames;
    expect_plan_holds(GetParam(), device_, learned, request);
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, DeviceShareOfARank, testing::ValuesIn(kSequenceModes));

}  // namespace
}  // namespace cogvx
