#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/ops/cuda_plugin.h"
#include "tests/gpu/gpu_ops.h"

namespace cogvx {
namespace {

using test::report;

TEST(Probe, ThePluginFindsADeviceThatItWasCompiledFor) {
  const CudaReport found = probe_cuda(test::gpu_plugins());
  report({{"check", "probe"},
          {"driver_for", found.driver_version},
          {"built_with", found.runtime_version}});
  for (const CudaDevice& device : found.devices) {
    report({{"check", "device"},
            {"index", device.index},
            {"name", device.name},
            {"compute_capability",
             std::to_string(device.compute_major) + "." + std::to_string(device.compute_minor)},
            {"multiprocessors", device.multiprocessors},
            {"memory_bytes", device.memory_bytes},
            {"supported", device.supported}});
  }
  ASSERT_FALSE(found.devices.empty());
  EXPECT_TRUE(found.devices.front().supported);
}

}  // namespace
}  // namespace cogvx
