#include "core/base/allocator.h"

#include <c10/core/CPUAllocator.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <new>

#include "core/base/memory.h"

namespace cogvx {
namespace {

// As libtorch's: kernels' bytes may depend on alignment.
constexpr size_t kAlignment = 64;

// Has the kernel give two megabytes at a time instead of four kilobytes, where it has them: results
// of linear layers are new blocks, and getting their pages took a twentieth of a layer's time.
// Weights are written once, so that for them it would save nothing.
void want_huge_pages(void* data, size_t size) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t head = (page - reinterpret_cast<uintptr_t>(data) % page) % page;
  madvise(static_cast<char*>(data) + head, (size - head) / page * page, MADV_HUGEPAGE);
}

class ThrowingAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t size) override {
    void* data = nullptr;
    if (size > 0 && posix_memalign(&data, kAlignment, size) != 0) throw std::bad_alloc();
    if (size >= static_cast<size_t>(kMappedBlockBytes) && !LoadingAllocations::any())
      want_huge_pages(data, size);
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
