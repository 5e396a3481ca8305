#include "core/weights/mapped_file.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "core/base/errors.h"
#include "core/base/read_file.h"

namespace cogvx {
namespace {

size_t page_size() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path) : path_(path) {
  const RegularFile file(path);
  if (file.size() == 0) return;
  void* map = mmap(nullptr, file.size(), PROT_READ, MAP_PRIVATE, file.descriptor(), 0);
  const int error = errno;
  if (map == MAP_FAILED && error == ENOMEM) {
    throw MemoryError(path.string() + ": no room to map its " + std::to_string(file.size()) +
                      " bytes; is the address space limited (ulimit -v)?");
  }
  if (map == MAP_FAILED) throw DataError(path.string() + ": cannot be mapped: " + strerror(error));
  data_ = static_cast<const std::byte*>(map);
  size_ = file.size();
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

void MappedFile::read_ahead(size_t offset, size_t size) const {
  const size_t begin = offset / page_size() * page_size();
  // A hint: where the kernel does not take it, the pages are read when they are touched.
  madvise(const_cast<std::byte*>(data_) + begin, offset + size - begin, MADV_WILLNEED);
}

void MappedFile::drop_pages(size_t offset, size_t size) const {
  // Whole pages only: a page shared with a neighbouring tensor stays.
  const size_t begin = (offset + page_size() - 1) / page_size() * page_size();
  const size_t end = (offset + size) / page_size() * page_size();
  if (end > begin) madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_DONTNEED);
}

}  // namespace cogvx
