#include "core/vae/pixels.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/support/golden.h"

namespace cogvx {
namespace {

using namespace test;

// numpy's float32 arithmetic: a true division, then 2 * x - 1, each rounded.
TEST(PixelsFromBytes, EveryByteBecomesWhatNumpyMakesOfIt) {
  const at::Tensor bytes = at::arange(256, at::kByte).view({1, 16, 16, 1}).expand({1, 16, 16, 3});
  const at::Tensor wanted = 2.0 * (at::arange(256, at::kFloat) / at::full({256}, 255.0F)) - 1.0;
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const at::Tensor pixels = pixels_from_bytes(bytes, dtype);
    ASSERT_EQ(pixels.scalar_type(), dtype);
    for (int64_t c = 0; c < 3; ++c) EXPECT_TRUE(same_bytes(pixels[c].flatten(), wanted.to(dtype)));
  }
  // 1 / 255 is rounded, so that its multiple is another number for some bytes.
  EXPECT_FALSE(same_bytes(at::arange(256, at::kFloat) * (1.0F / 255.0F) * 2.0 - 1.0, wanted));
}

TEST(PixelsFromBytes, ColoursComeFirst) {
  const at::Tensor bytes = at::arange(2 * 3 * 4 * 3, at::kByte).view({2, 3, 4, 3});
  const at::Tensor pixels = pixels_from_bytes(bytes, at::kFloat);
  EXPECT_TRUE(same_bytes(((pixels + 1) * 127.5).round().to(at::kByte),
                         bytes.permute({3, 0, 1, 2}).contiguous()));
  // Any strides.
  EXPECT_TRUE(same_bytes(pixels_from_bytes(bytes.transpose(1, 2), at::kFloat),
                         pixels.transpose(2, 3).contiguous()));
}

}  // namespace
}  // namespace cogvx
