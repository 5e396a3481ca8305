#pragma once

#include <filesystem>
#include <string>

namespace cogvx::test {

// The checkout and the build folder this test binary came from.
std::filesystem::path source_dir();
std::filesystem::path build_dir();
// The developers' shared folder beside the checkout; empty where there is none (tests then skip).
std::filesystem::path shared_dir();

// A fresh empty folder that goes away with the object.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

}  // namespace cogvx::test
