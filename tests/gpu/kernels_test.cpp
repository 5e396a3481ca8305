#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <vector>

#include "tests/gpu/gpu_ops.h"

namespace cogvx {
namespace {

using namespace test;

void check(const KernelShape& shape) {
  // Makes the device ready, as a run does.
  const auto ops = make_gpu_ops({});
  const std::string wrong = check_gpu_kernels(shape);
  report({{"check", "kernels"},
          {"rows", shape.rows},
          {"heads", shape.heads},
          {"head_width", shape.head_width},
          {"wrong", wrong}});
  EXPECT_EQ(wrong, "");
}

// For compute-sanitizer too.
TEST(Kernels, GiveTheBytesOfTheirHostFunctionsOnSmallShapes) {
  for (const KernelShape& shape :
       {KernelShape{1, 1, 2}, KernelShape{63, 3, 16}, KernelShape{65, 30, 16}})
    check(shape);
}

TEST(Kernels, GiveTheBytesOfTheirHostFunctionsOnTheShapesOfModels) {
  const std::vector<KernelShape> full = {
      {226, 30, 64}, {2222, 48, 64}, {3470, 30, 64}, {17776, 3, 64}};
  const std::vector<KernelShape> small = {{226, 4, 64}};
  for (const KernelShape& shape : small_sizes() ? small : full) check(shape);
}

}  // namespace
}  // namespace cogvx
