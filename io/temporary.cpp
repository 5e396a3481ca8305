#include "io/temporary.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>
#include <system_error>

#include "io/messages.h"

namespace cogvx::io {
namespace {

namespace fs = std::filesystem;

std::string name_prefix(const std::string& name) { return "." + name + ".tmp-"; }

size_t count_digits(std::string_view text) {
  const size_t end = text.find_first_not_of("0123456789");
  return end == std::string_view::npos ? text.size() : end;
}

// `<prefix><pid>` or `<prefix><pid>-<number>`.
bool is_temporary_name(std::string_view file_name, std::string_view prefix) {
  if (file_name.substr(0, prefix.size()) != prefix) return false;
  file_name.remove_prefix(prefix.size());
  const size_t pid_digits = count_digits(file_name);
  if (pid_digits == 0) return false;
  file_name.remove_prefix(pid_digits);
  if (file_name.empty()) return true;
  file_name.remove_prefix(1);
  return !file_name.empty() && count_digits(file_name) == file_name.size();
}

// O_NONBLOCK: a pipe of that name must not hold us up.
Descriptor open_existing(TemporaryKind kind, const fs::path& path) {
  // Over NFS only a file that is open for writing can be locked.
  const int flags = kind == TemporaryKind::kFolder ? O_RDONLY | O_DIRECTORY : O_RDWR | O_NONBLOCK;
  return Descriptor(::open(path.c_str(), flags | O_NOFOLLOW | O_CLOEXEC));
}

// Whoever held the lock before us may have removed or renamed what we opened.
bool still_leads_to(const fs::path& path, const Descriptor& descriptor) {
  struct stat named {};
  struct stat opened {};
  return ::lstat(path.c_str(), &named) == 0 && ::fstat(descriptor.number(), &opened) == 0 &&
         named.st_dev == opened.st_dev && named.st_ino == opened.st_ino;
}

bool is_of_kind(TemporaryKind kind, const Descriptor& descriptor) {
  struct stat opened {};
  if (::fstat(descriptor.number(), &opened) != 0) return false;
  return kind == TemporaryKind::kFolder ? S_ISDIR(opened.st_mode) : S_ISREG(opened.st_mode);
}

void remove_entry(TemporaryKind kind, const fs::path& path) {
  std::error_code ignored;
  if (kind == TemporaryKind::kFolder) {
    fs::remove_all(path, ignored);
  } else {
    ::unlink(path.c_str());
  }
}

void remove_if_abandoned(TemporaryKind kind, const fs::path& path) {
  const Descriptor descriptor = open_existing(kind, path);
  if (!descriptor.is_open() || !is_of_kind(kind, descriptor)) return;
  if (::flock(descriptor.number(), LOCK_EX | LOCK_NB) != 0) return;
  if (still_leads_to(path, descriptor)) remove_entry(kind, path);
}

// Not open and errno set where it cannot be made; EEXIST where there is one.
Descriptor make_entry(TemporaryKind kind, const fs::path& path) {
  if (kind == TemporaryKind::kFile) {
    return Descriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  }
  if (::mkdir(path.c_str(), 0777) != 0) return Descriptor();
  Descriptor folder = open_existing(kind, path);
  // Taken for abandoned before it was open: as good as taken.
  if (!folder.is_open() && errno == ENOENT) errno = EEXIST;
  return folder;
}

// False where somebody took it for abandoned before it was locked. Without flock nobody can.
bool lock(const fs::path& path, const Descriptor& descriptor) {
  while (::flock(descriptor.number(), LOCK_EX) != 0 && errno == EINTR) {
  }
  return still_leads_to(path, descriptor);
}

}  // namespace

void remove_abandoned(TemporaryKind kind, const fs::path& folder, const std::string& name) {
  const std::string prefix = name_prefix(name);
  std::error_code error;
  fs::directory_iterator entry(folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const std::string found = entry->path().filename().string();
    if (is_temporary_name(found, prefix)) remove_if_abandoned(kind, entry->path());
  }
}

Temporary::Temporary(TemporaryKind kind, const fs::path& folder, const std::string& name,
                     const fs::path& shown)
    : kind_(kind) {
  remove_abandoned(kind, folder, name);
  const std::string base = name_prefix(name) + std::to_string(::getpid());
  // Another machine or container may have a process of our number.
  constexpr int kMaxTries = 1000;
  int error = 0;
  for (int i = 0; i < kMaxTries; ++i) {
    path_ = folder / (i == 0 ? base : base + "-" + std::to_string(i));
    descriptor_ = make_entry(kind, path_);
    error = descriptor_.is_open() ? EEXIST : errno;
    if (descriptor_.is_open() && lock(path_, descriptor_)) return;
    if (error != EEXIST) break;
  }
  path_.clear();
  const char* thing = kind == TemporaryKind::kFolder ? "folder" : "file";
  throw_output_error(shown, std::string("cannot make a ") + thing + " in " + quoted(folder), error);
}

Temporary::~Temporary() {
  if (!path_.empty()) remove_entry(kind_, path_);
}

Temporary::Temporary(Temporary&& other) noexcept
    : kind_(other.kind_), descriptor_(std::move(other.descriptor_)) {
  path_.swap(other.path_);
}

Temporary& Temporary::operator=(Temporary&& other) noexcept {
  std::swap(kind_, other.kind_);
  path_.swap(other.path_);
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

void Temporary::keep() {
  path_.clear();
  descriptor_.reset();
}

}  // namespace cogvx::io
