#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "io/frames.h"

namespace cogvx::io {

// Names are libav's, as ffprobe prints them ("h264", "yuv420p", "bt709", "tv"); "unknown" where the
// file says nothing. Metadata keys of Matroska files, which hold them in upper case, are in lower
// case.
struct VideoInfo {
  std::string codec;
  std::string pixel_format;
  bool keeps_rgb = false;  // a lossless codec on RGB: what is decoded is what was encoded
  FrameSize size;
  FrameRate frame_rate;
  int frame_count = 0;
  std::string color_primaries;
  std::string color_transfer;
  std::string color_space;
  std::string color_range;
  double duration_seconds = 0;
  std::map<std::string, std::string> metadata;
};

// The first video stream of any file libav reads; frames are counted, not believed. DataError.
VideoInfo read_video_info(const std::filesystem::path& path);

// Every frame of that stream in the order shown, by the file's own colour tags (none: BT.601,
// limited). DataError, also for a damaged frame.
Frames read_video_frames(const std::filesystem::path& path);

}  // namespace cogvx::io
