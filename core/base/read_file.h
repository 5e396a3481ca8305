#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

namespace cogvx {

// The open descriptor of a regular file, closed at the end of its life. Neither opening nor reading
// one can block: a pipe or a device is a DataError, and so is what the system refuses.
class RegularFile {
 public:
  explicit RegularFile(const std::filesystem::path& path);
  ~RegularFile();
  RegularFile(const RegularFile&) = delete;
  RegularFile& operator=(const RegularFile&) = delete;

  int descriptor() const { return descriptor_; }
  size_t size() const { return size_; }  // bytes

 private:
  int descriptor_ = -1;
  size_t size_ = 0;
};

// All bytes of a regular file. Throws DataError, also when it has more than `max_bytes`.
std::string read_file(const std::filesystem::path& path, size_t max_bytes);

// Throw DataError "<path>: no such folder; <cure>", or with the system's reason.
void require_folder(const std::filesystem::path& path, const std::string& cure);
void require_file(const std::filesystem::path& path, const std::string& cure);
// False only where nothing of this name is there; what cannot be looked up is there.
bool may_exist(const std::filesystem::path& path);

}  // namespace cogvx
