#pragma once

#include <optional>
#include <string_view>

namespace cogvx::io {

// Each codec brings its encoder, container and pixel format (`codec_profiles.cpp` has the table).
enum class VideoCodec {
  kH264,  // libx264, yuv420p, in .mp4
  kHevc,  // libx265, yuv420p, in .mp4
  kFfv1,  // FFV1 version 3, 8-bit RGB without any loss, in .mkv
};

// "h264", "hevc", "ffv1".
const char* codec_name(VideoCodec codec);
// Empty for a name that is none of these.
std::optional<VideoCodec> codec_of_name(std::string_view name);
// ".mp4" or ".mkv".
const char* codec_extension(VideoCodec codec);
// False for a codec without loss.
bool codec_has_crf(VideoCodec codec);

}  // namespace cogvx::io
