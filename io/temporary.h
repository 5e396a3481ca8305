#pragma once

#include <filesystem>
#include <string>

#include "io/descriptor.h"

namespace cogvx::io {

enum class TemporaryKind { kFile, kFolder };

// What an output grows in: an empty file or folder `.<name>.tmp-<pid>` in `folder`, removed with
// the object unless `keep` was called. The maker holds a lock (flock) on it for life. So making one
// can first remove those that killed processes left there for the same name, and never one that
// is being written, here or on a machine that shares the folder and its locks. Where a file system
// has no flock, nothing is ever taken for abandoned.
class Temporary {
 public:
  // OutputError, about `shown`, where `folder` is missing or not writable.
  Temporary(TemporaryKind kind, const std::filesystem::path& folder, const std::string& name,
            const std::filesystem::path& shown);
  ~Temporary();
  Temporary(Temporary&& other) noexcept;
  Temporary& operator=(Temporary&& other) noexcept;

  const std::filesystem::path& path() const { return path_; }
  // Open for reading and writing; a folder for reading.
  const Descriptor& descriptor() const { return descriptor_; }
  // To be called once it has its final name: unlocks it, and the destructor removes nothing.
  void keep();

 private:
  TemporaryKind kind_;
  std::filesystem::path path_;
  Descriptor descriptor_;
};

// What every maker does first.
void remove_abandoned(TemporaryKind kind, const std::filesystem::path& folder,
                      const std::string& name);

}  // namespace cogvx::io
