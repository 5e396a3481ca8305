#pragma once

#include <string>
#include <vector>

#include "app/compare/comparison.h"
#include "app/compare/provenance.h"
#include "io/frames.h"

namespace cogvx::app {

// A video that libav reads, or a folder of PNG frames, with all that is known about it.
struct Video {
  std::string path;
  io::Frames frames;
  io::FrameRate frame_rate;                     // 0/1: not known, as a folder's
  std::string format;                           // "h264 yuv420p bt709 tv"
  bool keeps_rgb = true;                        // what is read is what was written
  std::map<std::string, std::string> metadata;  // without cogvx-gen's own
  std::string sha256_frames;                    // of the RGB bytes in order, as a sidecar's
  Provenance provenance;
  std::vector<std::string> notices;  // of reading it
};
// DataError.
Video read_video(const std::string& path);
// DataError where size or number of frames differ.
Comparison compare_videos(const Video& reference, const Video& test);

}  // namespace cogvx::app
