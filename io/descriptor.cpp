#include "io/descriptor.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "io/messages.h"

namespace cogvx::io {

void Descriptor::reset() {
  if (number_ >= 0) ::close(number_);
  number_ = -1;
}

void write_all(const Descriptor& file, const void* data, size_t size,
               const std::filesystem::path& shown) {
  const char* next = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t written = ::write(file.number(), next, size);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw_output_error(shown, "cannot write", errno);
    next += written;
    size -= static_cast<size_t>(written);
  }
}

void sync(const Descriptor& file, const std::filesystem::path& shown) {
  if (::fsync(file.number()) == 0) return;
  // Some file systems refuse to sync; their files are as safe as they can be.
  if (errno == EINVAL || errno == ENOTSUP) return;
  throw_output_error(shown, "cannot bring the bytes to disk", errno);
}

void sync_folder(const std::filesystem::path& folder) {
  const Descriptor descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (descriptor.is_open()) ::fsync(descriptor.number());
}

}  // namespace cogvx::io
