#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/thread_pool.h"
#include "core/ops/cpu/cpu_ops.h"
#include "core/text/t5_encoder.h"
#include "tests/core/weights/weights_test_support.h"
#include "tests/support/cpu_path.h"
#include "tests/support/test_paths.h"

namespace cogvx {
namespace {

using namespace test;
using testing::HasSubstr;

TEST(T5Ids, AnIdBeyondTheVocabularyIsADataErrorBeforeAnyWeightIsRead) {
  const TemporaryFolder folder;
  write_text(folder / "model.safetensors", safetensors_prefix({}, {}));
  WeightMap no_weights(folder.path(), "model");
  ThreadPool pool(1);
  CpuOps ops(pool, test::cpu_path());
  const T5Config config{.vocab_size = 76};
  for (const int64_t id : {76, 32099, -1}) {
    EXPECT_THAT(
        data_error([&] {
          encode_prompts({{1, 75}, {id, 0}}, config, no_weights, at::kFloat, ops, {});
        }),
        HasSubstr("the id " + std::to_string(id) + ", the text encoder's vocab_size is 76"));
  }
}

}  // namespace
}  // namespace cogvx
