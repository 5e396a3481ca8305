#include "core/ops/cuda/kernel_check.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <type_traits>

namespace cogvx::cuda {
namespace {

// A device that is the host, and what can go wrong with one.
struct FakeDevice {
  int fail_launch = -1;   // which launch, counted from 0, gives an error
  int spoil_launch = -1;  // which one leaves one bit other than it should
  bool full = false;
  int launches = 0;
  int live = 0;
  char* written = nullptr;  // the first array of a call

  void* upload(const void* from, size_t bytes) {
    if (full && live == 1) return nullptr;
    ++live;
    void* to = std::malloc(bytes);
    std::memcpy(to, from, bytes);
    if (live == 1) written = static_cast<char*>(to);
    return to;
  }
  int download(void* to, const void* from, size_t bytes) {
    std::memcpy(to, from, bytes);
    return 0;
  }
  void release(void* array) {
    --live;
    std::free(array);
  }
  template <typename Call>
  int launch(const Call& call) {
    const int index = launches++;
    if (index == fail_launch) return 700;
    if (!run_on_host(call)) return 1;
    if (index == spoil_launch) written[0] = static_cast<char>(written[0] ^ 1);
    return 0;
  }
  const char* error_text(int code) const { return code == 700 ? "an illegal access" : "?"; }
};

std::string check(FakeDevice& device, CheckShape shape = {}) {
  return KernelCheck<FakeDevice>(device, shape).run();
}

TEST(KernelCheck, ADeviceThatIsTheHostPasses) {
  for (const CheckShape shape : {CheckShape{}, CheckShape{1, 1, 2}, CheckShape{130, 30, 16}}) {
    FakeDevice device;
    EXPECT_EQ(check(device, shape), "");
    EXPECT_EQ(device.launches, 15) << "five kernels in three stored types";
    EXPECT_EQ(device.live, 0);
  }
}

// Each of the 15 checks sees one wrong bit and names its kernel and type.
TEST(KernelCheck, OneWrongBitIsFoundInEveryKernel) {
  const char* kernels[] = {"norm", "gate", "q, k, v", "blend", "bytes"};
  const char* types[] = {"fp32", "bf16", "fp16"};
  for (int i = 0; i < 15; ++i) {
    FakeDevice device;
    device.spoil_launch = i;
    const std::string wrong = check(device);
    EXPECT_EQ(wrong.rfind(std::string(types[i / 5]) + " " + kernels[i % 5] + " kernel: 1 of ", 0),
              0U)
        << wrong;
    EXPECT_EQ(device.live, 0);
  }
}

TEST(KernelCheck, AnErrorIsHandedOnInCudasWords) {
  FakeDevice device;
  device.fail_launch = 7;
  EXPECT_EQ(check(device), "bf16 q, k, v kernel: an illegal access");
  EXPECT_EQ(device.live, 0);
}

TEST(KernelCheck, NoMemoryIsSaidAndWhatWasTakenIsGivenBack) {
  FakeDevice device;
  device.full = true;
  EXPECT_EQ(check(device), "fp32 norm kernel: no device memory for its check");
  EXPECT_EQ(device.live, 0);
}

}  // namespace
}  // namespace cogvx::cuda
