#include "io/atomic_file.h"

#include <cerrno>
#include <cstdio>
#include <system_error>

#include "core/base/errors.h"
#include "io/descriptor.h"
#include "io/messages.h"

namespace cogvx::io {
namespace {

namespace fs = std::filesystem;

// Renaming onto /dev/null would destroy it, and onto a folder cannot work.
const fs::path& checked(const fs::path& path) {
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
  return path;
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

}  // namespace

AtomicFile::AtomicFile(const fs::path& target)
    : shown_(target),
      target_(followed(checked(target))),
      temporary_(TemporaryKind::kFile, folder_of(target_), target_.filename().string(), shown_) {}

void AtomicFile::write(const void* data, size_t size) {
  write_all(temporary_.descriptor(), data, size, shown_);
}

void AtomicFile::commit() {
  sync(temporary_.descriptor(), shown_);
  if (::rename(temporary_.path().c_str(), target_.c_str()) != 0) {
    const int error = errno;
    throw_output_error(shown_, "cannot rename the finished " + quoted(temporary_.path()), error);
  }
  temporary_.keep();
  sync_folder(folder_of(target_));
}

void check_writable(const fs::path& path, bool overwrite) {
  checked(path);
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
