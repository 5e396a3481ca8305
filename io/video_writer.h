#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "io/atomic_file.h"
#include "io/frames.h"
#include "io/video_codec.h"

namespace cogvx::io {

struct VideoSettings {
  VideoCodec codec = VideoCodec::kH264;
  FrameRate frame_rate{.numerator = 8, .denominator = 1};
  // Constant quality, 0 (best) to 51 (worst); a codec without loss ignores it.
  int crf = 17;
  // 1 to 128. x264's bytes depend on this number, so it never follows the machine.
  int encoder_threads = 4;
  // For players that seek, H.264 alone: a key frame every so many frames or sooner, and no frame
  // that is stored before one shown earlier. 0 leaves both to x264.
  int key_frame_interval = 0;
  // Container tags, `comment` and any other key; empty writes none.
  std::map<std::string, std::string> metadata{};
};

// To be asked before hours of work. UsageError for a size, setting or file extension that the codec
// cannot take; OutputError where libav lacks the encoder.
void check_video(const std::filesystem::path& path, FrameSize size, const VideoSettings& settings);

// The finished video, complete but without its name until `commit`; the same frames and settings
// give the same bytes. Colours are tagged BT.709: converted to limited range for H.264 and HEVC,
// left as they are, full range RGB, for FFV1. In MP4 the index stands before the data. Throws as
// `check_video` does, and OutputError.
AtomicFile encode_video(const std::filesystem::path& path, const FrameSource& frames,
                        const VideoSettings& settings, const FrameProgress& progress = {});
AtomicFile encode_video(const std::filesystem::path& path, const FramesView& frames,
                        const VideoSettings& settings, const FrameProgress& progress = {});

// `encode_video` and commit: replaces `path` in one step.
void write_video(const std::filesystem::path& path, const FramesView& frames,
                 const VideoSettings& settings, const FrameProgress& progress = {});

}  // namespace cogvx::io
