#include "app/component_writer.h"

#include <ATen/ops/arange.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "core/base/errors.h"
#include "tests/support/test_paths.h"

namespace cogvx::app {
namespace {

// One tensor `x` [5, 3] of the numbers from 0.
class Numbers : public TensorSource {
 public:
  const std::vector<SourceTensor>& tensors() const override { return tensors_; }
  at::Tensor read_rows(size_t, RowRange rows) const override {
    return at::arange(15, at::kFloat).view({5, 3}).narrow(0, rows.begin, rows.size()).clone();
  }
  std::string label(size_t) const override { return "numbers"; }

 private:
  std::vector<SourceTensor> tensors_{{"x", "F32", {5, 3}}};
};

TEST(ComponentWriter, AByteThatTheDiskChangedIsFound) {
  const test::TemporaryFolder folder;
  const Numbers source;
  const std::vector<PlannedTensor> tensors{{"x", "F32", {5, 3}, {{0, {0, 5}}}}};
  const ComponentFiles files{.folder = folder.path(),
                             .stem = "x",
                             .dtype = "BF16",
                             .max_shard_bytes = 1000,
                             .shown = "out"};
  size_t written = 0, compared = 0;
  write_component(source, tensors, files, [&](size_t bytes) { written += bytes; });
  compare_component(source, tensors, files, [&](size_t bytes) { compared += bytes; });
  EXPECT_EQ(written, 30U);
  EXPECT_EQ(compared, 30U);
  {
    std::fstream file(folder / "x.safetensors", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-1, std::ios::end);
    file.put('\x40');
  }
  try {
    compare_component(source, tensors, files, [](size_t) {});
    FAIL() << "not found";
  } catch (const OutputError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("/x reads back as other bytes"));
  }
}

}  // namespace
}  // namespace cogvx::app
