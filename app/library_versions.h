#pragma once

#include <string>
#include <vector>

namespace cogvx::app {

struct LibraryVersion {
  std::string name;
  std::string version;
};
// Everything a program is made of, itself, of this name, first: as loaded where the library can be
// asked, else as it was built with.
std::vector<LibraryVersion> library_versions(const std::string& program);

// In console.cpp's library, which alone includes spdlog.
LibraryVersion logging_library();

}  // namespace cogvx::app
