#include "core/base/allocator.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstdint>

#include "core/base/memory.h"

namespace cogvx {
namespace {

constexpr int64_t kMegabyte = int64_t{1} << 20;

at::Tensor block(int64_t bytes) { return at::empty({bytes}, at::kByte); }

TEST(Allocator, ABlockIsAlignedAsLibtorchsAre) {
  install_allocator();
  for (const int64_t bytes : {int64_t{1}, int64_t{63}, int64_t{4096}, 3 * kMegabyte}) {
    const at::Tensor tensor = block(bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.data_ptr()) % 64, 0U) << bytes;
  }
  EXPECT_EQ(block(0).data_ptr(), nullptr);
}

TEST(Allocator, WhereABlockOfTheHeapWasTheNextOfItsSizeIs) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers have a heap of their own";
#endif
  install_allocator();
  { const LoadingAllocations then_working; }
  at::Tensor first = block(3 * kMegabyte);
  const at::Tensor behind = block(kMegabyte);
  const void* place = first.data_ptr();
  first = at::Tensor();
  EXPECT_EQ(block(3 * kMegabyte).data_ptr(), place);
}

TEST(Allocator, WhatIsTooLargeIsABadAlloc) {
  install_allocator();
  EXPECT_THROW(block(INT64_MAX), std::bad_alloc);
}

}  // namespace
}  // namespace cogvx
