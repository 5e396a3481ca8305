#include "core/ops/cuda_plugin.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "core/base/errors.h"
#include "tests/support/test_paths.h"

namespace cogvx {
namespace {
namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::string why_not(const fs::path& folder) {
  try {
    probe_cuda(folder);
  } catch (const DeviceError& error) {
    return error.what();
  }
  return "";
}

// The fake plugin in a folder of its own, set to answer one scene.
class FakePlugin {
 public:
  explicit FakePlugin(const char* scene) {
    fs::copy_file(COGVX_FAKE_CUDA_PLUGIN, folder_ / "libcogvx_cuda.so");
    setenv("COGVX_FAKE_CUDA", scene, 1);
  }
  const fs::path& folder() const { return folder_.path(); }

 private:
  test::TemporaryFolder folder_;
};

std::string why_not(const char* scene) { return why_not(FakePlugin(scene).folder()); }

const auto one_line_with_a_cure =
    AllOf(HasSubstr("CUDA: "), HasSubstr("; "), HasSubstr("or run on the CPU"),
          Not(HasSubstr("\n")), Not(HasSubstr("  ")));

TEST(CudaPlugin, AMissingPluginSaysWhetherItWasEverBuilt) {
  const test::TemporaryFolder empty;
  const std::string message = why_not(empty.path());
  EXPECT_THAT(message, one_line_with_a_cure);
  EXPECT_THAT(message, HasSubstr(empty.path().string()));
#ifdef COGVX_CUDA_PLUGIN_BUILT
  EXPECT_THAT(message, HasSubstr("was built with this program but is not in"));
#else
  EXPECT_THAT(message, HasSubstr("this build has no CUDA part"));
  EXPECT_THAT(message, HasSubstr("configured without nvcc"));
#endif
}

TEST(CudaPlugin, AFileThatIsNoLibraryIsNamed) {
  const test::TemporaryFolder folder;
  std::ofstream(folder / "libcogvx_cuda.so") << "not a library";
  EXPECT_THAT(why_not(folder.path()), AllOf(one_line_with_a_cure, HasSubstr("cannot be loaded")));
}

TEST(CudaPlugin, ALibraryWithoutTheEntryPointIsNamed) {
  const test::TemporaryFolder folder;
  fs::copy_file(COGVX_EMPTY_PLUGIN, folder / "libcogvx_cuda.so");
  EXPECT_THAT(why_not(folder.path()),
              AllOf(one_line_with_a_cure, HasSubstr("it has no cogvx_cuda_probe")));
}

TEST(CudaPlugin, IsFoundBesideTheProgramAndInTheLibFolders) {
  const FakePlugin fake("two devices");
  const fs::path root = fake.folder();
  fs::create_directories(root / "bin");
  EXPECT_EQ(probe_cuda(root).plugin, root / "libcogvx_cuda.so");
  fs::create_directories(root / "lib");
  fs::rename(root / "libcogvx_cuda.so", root / "lib" / "libcogvx_cuda.so");
  EXPECT_EQ(probe_cuda(root).plugin, root / "lib" / "libcogvx_cuda.so");
  EXPECT_EQ(probe_cuda(root / "bin").plugin, root / "lib" / "libcogvx_cuda.so");
}

TEST(CudaPlugin, ReportsEveryDeviceAndWhichCanBeUsed) {
  const FakePlugin fake("two devices");
  const CudaReport report = probe_cuda(fake.folder());
  EXPECT_EQ(report.driver_version, "13.1");
  EXPECT_EQ(report.runtime_version, "13.0");
  ASSERT_EQ(report.devices.size(), 2u);
  EXPECT_EQ(report.devices[0].name, "New One");
  EXPECT_EQ(report.devices[0].uuid, "GPU-of New One");
  EXPECT_EQ(report.devices[0].compute_major, 9);
  EXPECT_EQ(report.devices[0].multiprocessors, 132);
  EXPECT_EQ(report.devices[0].memory_bytes, uint64_t{80} << 30);
  EXPECT_TRUE(report.devices[0].supported);
  EXPECT_EQ(report.devices[1].index, 1);
  EXPECT_FALSE(report.devices[1].supported);
}

TEST(CudaPlugin, FreeMemoryIsThatOfTheDeviceAskedFor) {
  const FakePlugin fake("two devices");
  const CudaReport report = probe_cuda(fake.folder());
  setenv("COGVX_FAKE_CUDA_FREE", "5000000000", 1);
  EXPECT_EQ(free_device_bytes(report, 0), 5000000000);
  unsetenv("COGVX_FAKE_CUDA_FREE");
  EXPECT_EQ(free_device_bytes(report, 1), int64_t{79} << 30);
}

TEST(CudaPlugin, EveryReasonForNoDeviceHasItsOwnMessage) {
  EXPECT_THAT(why_not("no driver"),
              AllOf(one_line_with_a_cure, HasSubstr("no NVIDIA driver"), HasSubstr("CUDA 13.0")));
  EXPECT_THAT(why_not("old driver"),
              AllOf(one_line_with_a_cure, HasSubstr("serves CUDA 12.2"), HasSubstr("wants 13.0")));
  EXPECT_THAT(why_not("no device"), AllOf(one_line_with_a_cure, HasSubstr("shows no device")));
  EXPECT_THAT(why_not("other abi"),
              AllOf(one_line_with_a_cure, HasSubstr("speaks version 7"), HasSubstr("program 4")));
  EXPECT_THAT(why_not("broken"),
              AllOf(one_line_with_a_cure, HasSubstr("system not yet initialized")));
  EXPECT_THAT(why_not("old device"), AllOf(one_line_with_a_cure, HasSubstr("found Old One"),
                                           HasSubstr("capability 6.0"), HasSubstr("wanted 80 90")));
}

TEST(CudaPlugin, TheRealPluginAnswersWithAndWithoutAGpu) {
#ifdef COGVX_CUDA_PLUGIN_BUILT
  try {
    const CudaReport report = probe_cuda(test::build_dir());
    ASSERT_FALSE(report.devices.empty());
    for (const CudaDevice& device : report.devices) {
      EXPECT_NE(device.name, "");
      EXPECT_GE(device.compute_major, 3);
      EXPECT_GT(device.memory_bytes, uint64_t{1} << 28);
    }
  } catch (const DeviceError& error) {
    EXPECT_THAT(error.what(),
                AllOf(one_line_with_a_cure,
                      AnyOf(HasSubstr("no NVIDIA driver"), HasSubstr("shows no device"),
                            HasSubstr("wants 13."), HasSubstr("compiled for"))));
    RecordProperty("cuda", error.what());
  }
#else
  GTEST_SKIP() << "nvcc 13 was missing when this build was configured, so there is no plugin";
#endif
}

}  // namespace
}  // namespace cogvx
