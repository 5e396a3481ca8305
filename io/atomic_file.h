#pragma once

#include <cstddef>
#include <filesystem>
#include <string_view>

#include "io/temporary.h"

namespace cogvx::io {

// A file that appears under its name only when it is complete. It grows in a `Temporary` beside the
// target; `commit` renames it, and without `commit` nothing stays. A link is followed, so that the
// file it names is replaced and not the link.
class AtomicFile {
 public:
  // Makes the temporary file. OutputError where the folder is missing or not writable; UsageError
  // for a target that is no regular file.
  explicit AtomicFile(const std::filesystem::path& target);

  // For a writer that opens the file itself, by name.
  const std::filesystem::path& temporary_path() const { return temporary_.path(); }
  // Appends. OutputError.
  void write(const void* data, size_t size);
  // Brings the bytes to disk and gives the file its name, replacing what was there; once.
  // OutputError.
  void commit();

 private:
  std::filesystem::path shown_;  // as the caller wrote it, for messages
  std::filesystem::path target_;
  Temporary temporary_;
};

// To be asked before hours of work. UsageError where `path` exists and `overwrite` is false, or is
// no regular file; OutputError where its folder is missing or refuses a new file.
void check_writable(const std::filesystem::path& path, bool overwrite);

// Replaces `path` in one step. OutputError.
void write_text_file(const std::filesystem::path& path, std::string_view text);

}  // namespace cogvx::io
