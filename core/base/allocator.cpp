#include "core/base/allocator.h"

#include <c10/core/CPUAllocator.h>

#include <cstdlib>
#include <new>

namespace cogvx {
namespace {

// As libtorch's: kernels' bytes may depend on alignment.
constexpr size_t kAlignment = 64;

class ThrowingAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t size) override {
    void* data = nullptr;
    if (size > 0 && posix_memalign(&data, kAlignment, size) != 0) throw std::bad_alloc();
    return {data, data, &std::free, c10::Device(c10::DeviceType::CPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &std::free; }
  void copy_data(void* target, const void* source, size_t size) const override {
    default_copy_data(target, source, size);
  }
};

}  // namespace

void install_allocator() {
  static ThrowingAllocator allocator;
  constexpr uint8_t kAboveTheDefault = 100;
  c10::SetCPUAllocator(&allocator, kAboveTheDefault);
}

}  // namespace cogvx
