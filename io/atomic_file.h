#pragma once

#include <cstddef>
#include <filesystem>
#include <string_view>

namespace cogvx::io {

// A file that appears under its name only when it is complete. It grows as `.<name>.tmp-<pid>`
// beside the target; `commit` renames it, and without `commit` the destructor removes it. A link is
// followed, so that the file it names is replaced and not the link.
class AtomicFile {
 public:
  // Makes the temporary file. OutputError where the folder is missing or not writable; UsageError
  // for a target that is no regular file.
  explicit AtomicFile(const std::filesystem::path& target);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  // For a writer that opens the file itself, by name.
  const std::filesystem::path& temporary_path() const { return temporary_; }
  // Appends. OutputError.
  void write(const void* data, size_t size);
  // Brings the bytes to disk and gives the file its name, replacing what was there. OutputError.
  void commit();

 private:
  void close_descriptor();

  std::filesystem::path shown_;  // as the caller wrote it, for messages
  std::filesystem::path target_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
};

// To be asked before hours of work. UsageError where `path` exists and `overwrite` is false, or is
// no regular file; OutputError where its folder is missing or refuses a new file.
void check_writable(const std::filesystem::path& path, bool overwrite);

// Replaces `path` in one step. OutputError.
void write_text_file(const std::filesystem::path& path, std::string_view text);

}  // namespace cogvx::io
