#pragma once

#include <string>
#include <utility>
#include <vector>

namespace cogvx::io {

// libav's libraries as loaded: {"libavcodec", "59.37.100"} and so on, FFmpeg's own version first.
std::vector<std::pair<std::string, std::string>> libav_versions();

// Whether this libavcodec brings the encoder ("libx264").
bool has_encoder(const std::string& name);

}  // namespace cogvx::io
