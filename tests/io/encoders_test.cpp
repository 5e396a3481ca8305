#include "io/encoders.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/errors.h"
#include "tests/io/io_test_support.h"

namespace cogvx::io::test {
namespace {

constexpr int kH264 = 27;  // AV_CODEC_ID_H264, part of libav's ABI

TEST(FindEncoder, NamesTheEncodersThereAreWhenOneIsMissing) {
  const std::string message =
      message_of<OutputError>([] { find_encoder("libx264-missing", kH264); });
  EXPECT_THAT(message, testing::HasSubstr("no encoder libx264-missing"));
  EXPECT_THAT(message, testing::ContainsRegex("h264 encoders are: .*libx264[,;]"));
}

}  // namespace
}  // namespace cogvx::io::test
