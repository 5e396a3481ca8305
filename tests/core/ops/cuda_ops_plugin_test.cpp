#include "core/ops/cuda_ops_plugin.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "core/base/errors.h"
#include "tests/support/test_paths.h"

namespace cogvx {
namespace {
namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class CudaOpsPlugin : public testing::Test {
 protected:
  // The fake beside a plugin that need not be there.
  MadeCudaOps make(const char* scene) {
    // A copy would register the fake device once more in this process.
    if (!fs::exists(folder_ / "libcogvx_cuda_ops.so"))
      fs::create_symlink(COGVX_FAKE_CUDA_OPS_PLUGIN, folder_ / "libcogvx_cuda_ops.so");
    setenv("COGVX_FAKE_CUDA_OPS", scene, 1);
    return make_cuda_ops(folder_ / "libcogvx_cuda.so", {.device = 3});
  }
  template <typename E>
  std::string why_not(const char* scene) {
    try {
      make(scene);
    } catch (const E& error) {
      return error.what();
    }
    return "";
  }

  test::TemporaryFolder folder_;
};

const auto one_line_with_a_cure =
    AllOf(HasSubstr("CUDA: "), HasSubstr("; "), HasSubstr("or run on the CPU"),
          Not(HasSubstr("\n")), Not(HasSubstr("  ")));

TEST_F(CudaOpsPlugin, GivesAnOpsThatComputesOnItsDeviceAndItsVersions) {
  const MadeCudaOps made = make("");
  EXPECT_EQ(made.cudnn_version, "9.19.0");
  EXPECT_EQ(made.cublaslt_version, "13.1.0");
  ASSERT_NE(made.ops, nullptr);
  EXPECT_FALSE(made.ops->device().is_cpu());
  const at::Tensor x = at::ones({2, 64});
  const LinearWeights weights = made.ops->pack_linear(at::eye(64), at::ones({64}));
  const at::Tensor y = made.ops->download(made.ops->linear(made.ops->upload(x), weights));
  EXPECT_TRUE(at::equal(y, x + 1));
}

TEST_F(CudaOpsPlugin, EveryReasonAgainstItHasItsOwnMessage) {
  EXPECT_THAT(why_not<DeviceError>("other build"),
              AllOf(one_line_with_a_cure, HasSubstr("interface 9 and PyTorch 2.99.0")));
  EXPECT_THAT(why_not<DeviceError>("broken"),
              AllOf(one_line_with_a_cure, HasSubstr("device 3"), HasSubstr("illegal instruction")));
  EXPECT_THAT(why_not<MemoryError>("full"),
              AllOf(one_line_with_a_cure, HasSubstr("device 3"), HasSubstr("32.00 MiB")));
}

TEST_F(CudaOpsPlugin, AFileThatIsNotThereOrNoPluginIsNamed) {
  const auto why = [&] {
    try {
      make_cuda_ops(folder_ / "libcogvx_cuda.so", {});
    } catch (const DeviceError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_THAT(why(), AllOf(one_line_with_a_cure, HasSubstr("cannot be loaded")));
  fs::copy_file(COGVX_EMPTY_PLUGIN, folder_ / "libcogvx_cuda_ops.so");
  EXPECT_THAT(why(), AllOf(one_line_with_a_cure, HasSubstr("it has no cogvx_make_cuda_ops")));
}

#ifdef COGVX_CUDA_PLUGIN_BUILT
// Nothing of ours names a symbol of it: what it registers is all that is wanted of it.
TEST_F(CudaOpsPlugin, TheRealOneBringsLibtorchsCudaPart) {
  std::ifstream file(test::build_dir() / "lib" / "libcogvx_cuda_ops.so", std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  EXPECT_THAT(bytes, HasSubstr("libtorch_cuda.so"));
}

TEST_F(CudaOpsPlugin, TheRealOneRefusesADeviceThatIsNotThereInOneLine) {
  try {
    make_cuda_ops(test::build_dir() / "lib" / "libcogvx_cuda.so",
                  {.device = 63, .planner = checked_planner({})});
    FAIL() << "no machine has 64 GPUs";
  } catch (const DeviceError& error) {
    EXPECT_THAT(error.what(), one_line_with_a_cure);
    RecordProperty("cuda", error.what());
    std::printf("%s\n", error.what());
  }
}
#endif

}  // namespace
}  // namespace cogvx
