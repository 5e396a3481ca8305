#include "tests/support/test_paths.h"

#include <stdlib.h>

#include <stdexcept>

namespace cogvx::test {
namespace fs = std::filesystem;

fs::path source_dir() { return COGVX_SOURCE_DIR; }

fs::path build_dir() { return COGVX_BUILD_DIR; }

fs::path shared_dir() {
  const fs::path shared = source_dir().parent_path() / "shared";
  return fs::is_directory(shared) ? shared : fs::path();
}

TemporaryFolder::TemporaryFolder() {
  std::string pattern = (fs::temp_directory_path() / "cogvx-test-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("cannot make " + pattern);
  path_ = pattern;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

}  // namespace cogvx::test
