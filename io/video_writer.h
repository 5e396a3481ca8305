#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "io/frames.h"

namespace cogvx::io {

// Each codec brings its encoder, container and pixel format (`video_writer.cpp` has the table).
enum class VideoCodec {
  kH264,  // libx264, yuv420p, in .mp4
};

struct VideoSettings {
  VideoCodec codec = VideoCodec::kH264;
  FrameRate frame_rate{.numerator = 8, .denominator = 1};
  // Constant quality, 0 (no loss beyond 4:2:0) to 51 (worst).
  int crf = 17;
  // x264's bytes depend on this number, so it never follows the machine. 1 to 128.
  int encoder_threads = 4;
  // Container tags, `comment` and any other key; empty writes none.
  std::map<std::string, std::string> metadata{};
};

// To be asked before hours of work. UsageError for a size, setting or file extension that the codec
// cannot take; OutputError where libav lacks the encoder.
void check_video(const std::filesystem::path& path, FrameSize size, const VideoSettings& settings);

// Replaces `path` in one step; the same frames and settings give the same bytes. Colours are
// BT.709, limited range, converted and tagged so; the index stands before the data. Throws as
// `check_video` does, and OutputError.
void write_video(const std::filesystem::path& path, const FramesView& frames,
                 const VideoSettings& settings, const FrameProgress& progress = {});

}  // namespace cogvx::io
