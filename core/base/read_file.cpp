#include "core/base/read_file.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "core/base/errors.h"

namespace cogvx {
namespace {

namespace fs = std::filesystem;

void require(const fs::path& path, fs::file_type wanted, const std::string& cure) {
  const char* noun = wanted == fs::file_type::directory ? "folder" : "file";
  std::error_code error;
  const fs::file_type found = fs::status(path, error).type();
  if (found == wanted) return;
  if (found == fs::file_type::none)
    throw DataError(path.string() + ": cannot be looked up: " + error.message());
  throw DataError(path.string() +
                  (found == fs::file_type::not_found ? ": no such " : ": is there, but is no ") +
                  noun + "; " + cure);
}

}  // namespace

RegularFile::RegularFile(const fs::path& path) {
  // Without O_NONBLOCK a pipe would wait here for somebody to write into it.
  descriptor_ = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  const int error = errno;
  if (descriptor_ < 0) throw DataError(path.string() + ": cannot be opened: " + strerror(error));
  struct stat info {};
  if (fstat(descriptor_, &info) != 0 || !S_ISREG(info.st_mode)) {
    close(descriptor_);
    throw DataError(path.string() + ": is not a regular file");
  }
  size_ = static_cast<size_t>(info.st_size);
}

RegularFile::~RegularFile() { close(descriptor_); }

std::string read_file(const fs::path& path, size_t max_bytes) {
  const RegularFile file(path);
  std::string bytes;
  // Not the size that fstat gives: files of /proc have none.
  char block[65536];
  while (true) {
    const ssize_t got = read(file.descriptor(), block, sizeof(block));
    const int error = errno;
    if (got < 0 && error == EINTR) continue;
    if (got < 0) throw DataError(path.string() + ": cannot be read: " + strerror(error));
    if (got == 0) return bytes;
    bytes.append(block, static_cast<size_t>(got));
    if (bytes.size() > max_bytes) {
      throw DataError(path.string() + ": has more than " + std::to_string(max_bytes) +
                      " bytes, too many for what it should be; is it the right file?");
    }
  }
}

void require_folder(const fs::path& path, const std::string& cure) {
  require(path, fs::file_type::directory, cure);
}

void require_file(const fs::path& path, const std::string& cure) {
  require(path, fs::file_type::regular, cure);
}

bool may_exist(const fs::path& path) {
  std::error_code error;
  return fs::status(path, error).type() != fs::file_type::not_found;
}

}  // namespace cogvx
