#pragma once

#include <filesystem>
#include <optional>

#include "core/base/monitor.h"
#include "io/frames.h"
#include "io/resize.h"

namespace cogvx::io {

// A video is any file that libav reads, or a folder of frames 000000.png, 000001.png, ... as
// `FramesFolder` writes it.
struct VideoSource {
  FrameSize size;        // upright
  FrameRate frame_rate;  // 0/1: unknown, as a folder's
  int frame_count = 0;   // counted, not believed
};

// Reads all of a file, but decodes nothing. DataError.
VideoSource inspect_video(const std::filesystem::path& path);

struct VideoSlice {
  int from = 0;
  int count = 1;
  std::optional<ResizeTo> resize;  // frame by frame, so that large ones are never all in memory
};

struct VideoFrames {
  Frames frames;
  FrameRate frame_rate;
};

// Frames from..from+count-1 as RGB24, turned upright by the file's display matrix; nothing is
// resampled in time. Colours go by the file's own matrix and range; where it names none, by BT.601
// and limited range at any size, as ffmpeg and so diffusers' `load_video` do. With a notice:
// variable frame rate, pixels that are not square, HDR (no tone mapping), alpha (dropped), what
// `read_image` says of a folder's frames, a stretch that changes the aspect. Progress is of stage
// kLoad, a frame a piece, those before `from` too. DataError: fewer frames (names both counts),
// damage, sound alone; UsageError: no such slice.
VideoFrames read_video(const std::filesystem::path& path, const VideoSlice& slice,
                       const Monitor& monitor = {});

}  // namespace cogvx::io
