// Ranks whose Ops computes on another device: the exchanges' buffers lie there too, no transfer
// goes through the host, and the bytes are one host's.
#include <gtest/gtest.h>

#include <cstring>

#include "core/base/thread_pool.h"
#include "core/ops/cpu/cpu_ops.h"
#include "core/transformer/transformer.h"
#include "core/weights/weight_map.h"
#include "tests/parallel/sequence_modes.h"
#include "tests/parallel/thread_group.h"
#include "tests/parallel/tiny_transformer.h"
#include "tests/support/cpu_path.h"
#include "tests/support/fake_device.h"
#include "tests/support/test_paths.h"

namespace cogvx {
namespace {

bool equal_bytes(const at::Tensor& a, const at::Tensor& b) {
  return a.is_cpu() && b.is_cpu() && a.nbytes() == b.nbytes() &&
         std::memcmp(a.const_data_ptr(), b.const_data_ptr(), a.nbytes()) == 0;
}

class DeviceExchange : public testing::TestWithParam<SequenceMode> {};

TEST_P(DeviceExchange, AnyNumberOfRanksGivesTheBytesOfOneHost) {
  const TransformerConfig config = test::tiny_transformer_config({.heads = 3, .rotary = true});
  const test::TemporaryFolder folder;
  test::write_random_checkpoint(folder.path(), config, 7);
  const auto input = test::random_inputs(config, {3, 4, 6}, /*text_rows=*/58, at::kFloat, 11);
  IdentityExchange identity;
  const at::Tensor wanted =
      test::run_transformer(folder.path(), config, at::kFloat, 1, identity, {input})[0];
  // Of five ranks, two own no rows.
  for (const int ranks : {1, 2, 3, 5}) {
    test::run_ranks(ranks, [&](Group& group) {
      ThreadPool pool(1);
      CpuOps cpu(pool, test::cpu_path());
      test::FakeDeviceOps ops(cpu);
      WeightMap weights(folder.path(), "diffusion_pytorch_model");
      Transformer transformer(config, weights, at::kFloat, ops);
      const auto exchange = make_shared_sequence(GetParam(), group);
      const int64_t downloads = ops.asked().to_host;
      const at::Tensor found =
          transformer.forward(input.latents_LCYX, input.text_TE, input.timestep, *exchange);
      EXPECT_TRUE(equal_bytes(found.contiguous(), wanted.contiguous()))
          << "rank " << group.rank() << " of " << ranks;
      EXPECT_EQ(ops.asked().to_host - downloads, 1);
      EXPECT_EQ(exchange->send_buffer().device(), test::fake_device());
      EXPECT_EQ(exchange->attention_output(0).device(), test::fake_device());
    });
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, DeviceExchange, testing::ValuesIn(kSequenceModes));

}  // namespace
}  // namespace cogvx
