#include "core/base/allocator.h"

#include <c10/core/CPUAllocator.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <limits>
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

// The block's own address stands before the data. For an alignment beyond malloc's posix_memalign
// asks for more than it keeps: where a block was there is no room for another of its size, and the
// heap grows holes. (Tests take memory away at posix_memalign, where only tensors come by.)
void free_block(void* data) {
  if (data != nullptr) std::free(static_cast<void**>(data)[-1]);
}

void* new_block(size_t size) {
  if (size == 0) return nullptr;
  if (size > std::numeric_limits<size_t>::max() - kAlignment) throw std::bad_alloc();
  // Leaves room for a pointer.
  constexpr size_t kOfMalloc = alignof(std::max_align_t);
  static_assert(kOfMalloc >= sizeof(void*));
  void* block = nullptr;
  if (posix_memalign(&block, kOfMalloc, size + kAlignment) != 0) throw std::bad_alloc();
  const auto at = reinterpret_cast<std::uintptr_t>(block);
  auto* data = static_cast<std::byte*>(block) + (kAlignment - at % kAlignment);
  reinterpret_cast<void**>(data)[-1] = block;
  return data;
}

class ThrowingAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t size) override {
    void* data = new_block(size);
    if (size >= static_cast<size_t>(kMappedBlockBytes) && !LoadingAllocations::any())
      want_huge_pages(data, size);
    return {data, data, &free_block, c10::Device(c10::DeviceType::CPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &free_block; }
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
