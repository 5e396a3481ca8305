#include "parallel/agreement.h"
#include "core/base/short_hash.h"

#include <ATen/ops/arange.h>
#include <gtest/gtest.h>

#include "core/base/errors.h"
#include "tests/parallel/thread_group.h"

namespace cogvx {
namespace {

TEST(Agreement, EqualValuesPassOnAnyNumberOfRanks) {
  for (const int size : {1, 2, 5})
    test::run_ranks(size, [](Group& group) { check_agreement(group, "latents", 7); });
}

TEST(Agreement, ADifferenceIsNamedOnEveryRankWithTheRankAndBothValues) {
  test::run_ranks(3, [](Group& group) {
    try {
      check_agreement(group, "the latents after step 4", group.rank() == 2 ? 0xabcU : 0x123U);
      FAIL() << "rank " << group.rank() << " saw no difference";
    } catch (const DistributedError& error) {
      EXPECT_STREQ(error.what(),
                   "the latents after step 4 differs between processes: rank 2 has "
                   "0000000000000abc, rank 0 has 0000000000000123");
    }
  });
}

TEST(Agreement, TheHashKnowsEveryByte) {
  const at::Tensor numbers = at::arange(1000, at::kFloat);
  at::Tensor others = numbers.clone();
  EXPECT_EQ(short_hash(numbers), short_hash(others));
  others.view(at::kByte)[3999] = 1;
  EXPECT_NE(short_hash(numbers), short_hash(others));
}

}  // namespace
}  // namespace cogvx
