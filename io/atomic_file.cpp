#include "io/atomic_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "core/base/errors.h"
#include "io/messages.h"

namespace cogvx::io {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const fs::path& path, const std::string& problem) {
  const int error_number = errno;
  throw OutputError(output_error_text(path, problem, error_number));
}

// Renaming onto /dev/null would destroy it, and onto a folder cannot work.
void require_regular_or_absent(const fs::path& path) {
  if (!path.has_filename()) {
    throw UsageError(quoted(path) + " names no file; give a file name");
  }
  std::error_code ignored;
  const fs::file_status status = fs::status(path, ignored);
  if (fs::is_directory(status)) {
    throw UsageError(quoted(path) + " is a folder, wanted a file; give a file name inside it");
  }
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    throw UsageError(quoted(path) +
                     " is a device or pipe, wanted a regular file; give another path");
  }
}

fs::path followed(const fs::path& path) {
  std::error_code error;
  if (!fs::is_symlink(path, error)) return path;
  const fs::path real = fs::canonical(path, error);
  return error ? path : real;
}

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

// Some file systems refuse to sync; their files are as safe as they can be.
bool sync_descriptor(int descriptor) {
  return ::fsync(descriptor) == 0 || errno == EINVAL || errno == ENOTSUP;
}

// Makes the rename itself last. The file is whole either way, so a refusal is no failure.
void sync_folder(const fs::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  ::fsync(descriptor);
  ::close(descriptor);
}

}  // namespace

AtomicFile::AtomicFile(const fs::path& target) : shown_(target), target_(followed(target)) {
  require_regular_or_absent(target);
  std::string name = ".";
  name += target_.filename().string() + ".tmp-" + std::to_string(::getpid());
  temporary_ = folder_of(target_) / name;
  // A file of that name can only be what a dead process with our number left.
  ::unlink(temporary_.c_str());
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail(shown_, "cannot make a file in " + quoted(folder_of(target_)));
}

AtomicFile::~AtomicFile() {
  close_descriptor();
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::close_descriptor() {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
}

void AtomicFile::write(const void* data, size_t size) {
  const char* next = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t written = ::write(descriptor_, next, size);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(shown_, "cannot write");
    next += written;
    size -= static_cast<size_t>(written);
  }
}

void AtomicFile::commit() {
  if (!sync_descriptor(descriptor_)) fail(shown_, "cannot bring the bytes to disk");
  close_descriptor();
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) {
    fail(shown_, "cannot rename the finished " + quoted(temporary_));
  }
  temporary_.clear();
  sync_folder(folder_of(target_));
}

void check_writable(const fs::path& path, bool overwrite) {
  require_regular_or_absent(path);
  std::error_code ignored;
  if (!overwrite && fs::exists(path, ignored)) {
    throw UsageError(quoted(path) + " exists; pass --overwrite to replace it");
  }
  // Only making a file tells about read-only mounts, quotas and rights alike.
  const AtomicFile probe(path);
}

void write_text_file(const fs::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text.data(), text.size());
  file.commit();
}

}  // namespace cogvx::io
