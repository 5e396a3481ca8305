#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/HashStore.hpp>

#include "parallel/nccl_backend.h"
#include "tests/gpu/gpu_ops.h"

namespace cogvx {
namespace {

using namespace test;

TEST(Nccl, AGroupOfOneRankMovesBytes) {
  const auto ops = make_gpu_ops({});
  if (!is_real_gpu(*ops)) {
    std::printf("skipped: NCCL does not start without a GPU\n");
    GTEST_SKIP();
  }
  const auto store = c10::make_intrusive<c10d::HashStore>();
  const auto backend = nccl_backends(gpu_plugins(), /*device=*/0)(store, {"alone", 0, 1});
  const at::Tensor wanted = at::arange(100'003).to(at::kByte);
  at::Tensor send = ops->upload(wanted), received = at::zeros_like(send);
  std::vector<int64_t> splits = {send.numel()}, same = splits;
  backend->alltoall_base(received, send, splits, same)->wait();
  EXPECT_TRUE(at::equal(ops->download(received), wanted));
  std::vector<at::Tensor> sent = {send};
  backend->broadcast(sent)->wait();
  EXPECT_TRUE(at::equal(ops->download(send), wanted));
  report({{"check", "nccl"}, {"ranks", 1}, {"bytes", send.numel()}});
}

}  // namespace
}  // namespace cogvx
