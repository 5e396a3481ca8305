#pragma once

// RGB24 to the bytes of a PNG file; included by this folder's sources only.

#include "io/frames.h"
#include "io/libav.h"

namespace cogvx::io {

// One for pictures of one size. UsageError for a size below 1x1.
class PngEncoder {
 public:
  explicit PngEncoder(FrameSize size);
  // The file's bytes, valid until the next call; errors name `path`.
  const AVPacket& encode(ImageView image, const std::filesystem::path& path);

 private:
  libav::CodecPtr codec_;
  libav::FramePtr frame_;
  libav::PacketPtr packet_ = libav::make_packet();
};

}  // namespace cogvx::io
