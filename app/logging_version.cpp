#include <spdlog/version.h>

#include "app/library_versions.h"

namespace cogvx::app {

LibraryVersion logging_library() {
  return {"spdlog", std::to_string(SPDLOG_VER_MAJOR) + "." + std::to_string(SPDLOG_VER_MINOR) +
                        "." + std::to_string(SPDLOG_VER_PATCH)};
}

}  // namespace cogvx::app
