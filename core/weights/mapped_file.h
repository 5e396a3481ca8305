#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <utility>

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
  // Lets the kernel read a range now, while this process does something else.
  void read_ahead(size_t offset, size_t size) const;
  // Lets the kernel take back the pages of a range that has been read for the last time.
  void drop_pages(size_t offset, size_t size) const;

 private:
  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// A range of a mapped file that is in use; whoever lets go of it last gives its pages back.
class MappedRange {
 public:
  MappedRange(std::shared_ptr<const MappedFile> file, size_t offset, size_t size)
      : file_(std::move(file)), offset_(offset), size_(size) {}
  ~MappedRange() { file_->drop_pages(offset_, size_); }
  MappedRange(const MappedRange&) = delete;
  MappedRange& operator=(const MappedRange&) = delete;

  std::span<const std::byte> bytes() const { return file_->bytes().subspan(offset_, size_); }

 private:
  std::shared_ptr<const MappedFile> file_;
  size_t offset_;
  size_t size_;
};

}  // namespace cogvx
