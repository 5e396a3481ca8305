#pragma once

// What is known per codec, and its encoder; included by this folder's sources only.

#include <cstdint>
#include <optional>

#include "io/libav.h"
#include "io/video_writer.h"

namespace cogvx::io {

struct CodecProfile {
  VideoCodec codec;
  const char* name;
  const char* encoder;
  AVCodecID id;
  const char* container;
  const char* extension;
  uint32_t tag;  // the four letters of the container; 0 leaves them to libav
  AVPixelFormat pixel_format;
  AVColorSpace color_space;
  AVColorRange color_range;
  int size_multiple;  // pixels, set by the chroma planes
  FrameSize least_size;
  std::optional<int> max_crf;
  // How many frames late a packet may be shown, for an encoder whose decoding times are not to be
  // trusted.
  std::optional<int> reorder_depth;
  void (*choose_options)(AVCodecContext& context, const VideoSettings& settings,
                         libav::Dictionary& options);
};

const CodecProfile& profile_of(VideoCodec codec);

// Colours tagged BT.709; the same bytes on any machine. OutputError, naming `path`.
libav::CodecPtr open_encoder(const std::filesystem::path& path, FrameSize size,
                             const VideoSettings& settings);

}  // namespace cogvx::io
