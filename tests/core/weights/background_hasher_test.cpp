#include "core/weights/background_hasher.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "core/base/sha256.h"
#include "tests/core/weights/weights_test_support.h"
#include "tests/support/test_paths.h"

namespace cogvx {
namespace {

using namespace test;

class BackgroundHasherThread : public testing::Test {
 protected:
  BackgroundHasherThread() {
    for (int i = 0; i < 40'000; ++i) bytes_ += static_cast<char>(i * 37 % 251);
    write_text(folder_ / "file", bytes_);
    file_ = std::make_shared<const MappedFile>(folder_ / "file");
  }
  std::shared_ptr<const MappedRange> range(size_t offset, size_t size) const {
    return std::make_shared<const MappedRange>(file_, offset, size);
  }

  TemporaryFolder folder_;
  std::string bytes_;
  std::shared_ptr<const MappedFile> file_;
};

TEST_F(BackgroundHasherThread, ManyRangesGetTheDigestsOfTheirBytes) {
  constexpr size_t kRanges = 50;
  std::vector<std::string> digests(kRanges);
  BackgroundHasher hasher;
  for (size_t i = 0; i < kRanges; ++i) hasher.add(range(i * 100, i * 731), digests[i]);
  hasher.wait();
  for (size_t i = 0; i < kRanges; ++i)
    EXPECT_EQ(digests[i], sha256_hex(bytes_.data() + i * 100, i * 731)) << i;
}

TEST_F(BackgroundHasherThread, ARangeIsLetGoOfWhenItIsHashed) {
  std::string digest;
  std::weak_ptr<const MappedRange> seen;
  BackgroundHasher hasher;
  {
    const auto one = range(7, 30'000);
    seen = one;
    hasher.add(one, digest);
  }
  hasher.wait();
  EXPECT_TRUE(seen.expired());
}

// As where a tensor that follows is refused.
TEST_F(BackgroundHasherThread, ItCanBeLeftWithRangesThatWait) {
  std::string first, second;
  BackgroundHasher hasher;
  hasher.add(range(0, 40'000), first);
  hasher.add(range(1, 30'000), second);
}

}  // namespace
}  // namespace cogvx
