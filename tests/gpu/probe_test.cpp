#include <gtest/gtest.h>

#include <cstdio>

#include "core/ops/cuda_plugin.h"
#include "tests/support/test_paths.h"

namespace cogvx {
namespace {

TEST(Probe, ThePluginFindsADeviceThatItWasCompiledFor) {
  const CudaReport report = probe_cuda(test::build_dir());
  std::printf("report: driver for CUDA %s, plugin built with CUDA %s\n",
              report.driver_version.c_str(), report.runtime_version.c_str());
  for (const CudaDevice& device : report.devices) {
    std::printf("report: device %d: %s, compute %d.%d, %d multiprocessors, %llu MB%s\n",
                device.index, device.name.c_str(), device.compute_major, device.compute_minor,
                device.multiprocessors,
                static_cast<unsigned long long>(device.memory_bytes / 1'000'000),
                device.supported ? "" : ", not compiled for");
  }
  ASSERT_FALSE(report.devices.empty());
  EXPECT_TRUE(report.devices.front().supported);
}

}  // namespace
}  // namespace cogvx
