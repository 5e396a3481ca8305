#include "core/weights/non_finite.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

namespace cogvx {
namespace {

size_t count(const void* data, size_t size, const std::string& dtype) {
  return count_non_finite({static_cast<const std::byte*>(data), size}, dtype);
}

TEST(NonFinite, EveryHalfIsJudgedByItsExponent) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    EXPECT_EQ(count(&half, 2, "F16"), (bits >> 10 & 0x1fU) == 0x1fU) << bits;
    EXPECT_EQ(count(&half, 2, "BF16"), (bits >> 7 & 0xffU) == 0xffU) << bits;
  }
}

TEST(NonFinite, FloatsAreJudgedByTheirExponent) {
  for (const uint32_t sign : {0U, 0x80000000U}) {
    for (const uint32_t bits : {0U, 1U, 0x3f800000U, 0x7f7fffffU, 0x00800000U}) {
      const uint32_t number = bits | sign;
      EXPECT_EQ(count(&number, 4, "F32"), 0U) << number;
    }
    for (const uint32_t bits : {0x7f800000U, 0x7f800001U, 0x7fc00000U, 0x7fffffffU}) {
      const uint32_t number = bits | sign;
      EXPECT_EQ(count(&number, 4, "F32"), 1U) << number;
    }
  }
}

TEST(NonFinite, EveryPlaceCountsAtAnyAlignment) {
  constexpr size_t kNumbers = 67;
  constexpr uint32_t kInfinity = 0xff800000U;
  for (size_t offset = 0; offset < 4; ++offset) {
    for (size_t place = 0; place < kNumbers; ++place) {
      std::vector<std::byte> bytes(offset + kNumbers * 4);
      std::memcpy(bytes.data() + offset + place * 4, &kInfinity, 4);
      EXPECT_EQ(count(bytes.data() + offset, kNumbers * 4, "F32"), 1U) << place;
    }
  }
  const std::array<uint16_t, 3> halves{0x7c00, 0x3c00, 0xffff};
  EXPECT_EQ(count(halves.data(), 6, "F16"), 2U);
}

TEST(NonFinite, OtherDtypesHaveNone) {
  const uint64_t bits = ~uint64_t{0};
  EXPECT_EQ(count(&bits, 8, "I64"), 0U);
  EXPECT_EQ(count(&bits, 0, "F32"), 0U);
}

}  // namespace
}  // namespace cogvx
