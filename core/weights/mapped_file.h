#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace cogvx {

// A whole file mapped read-only. Throws DataError when it is no regular file or cannot be opened,
// MemoryError when the address space has no room for it.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  // Lets the kernel take back the pages of a range that has been read for the last time.
  void drop_pages(size_t offset, size_t size) const;

 private:
  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace cogvx
