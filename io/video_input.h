#pragma once

// Demuxing and decoding of one video stream; included by this folder's sources only.

#include <filesystem>

#include "io/frames.h"
#include "io/libav.h"

namespace cogvx::io {

struct VideoInput {
  std::filesystem::path path;
  libav::InputPtr format;
  AVStream* stream = nullptr;
  const AVCodec* decoder = nullptr;
  int packets_read = 0;
};

// The best video stream of a regular file. DataError, also for a file with sound or a cover alone.
VideoInput open_video(const std::filesystem::path& path);

// False at the end. Only packets of the video stream come out. DataError for a file that was cut
// off.
bool next_packet(VideoInput& input, AVPacket& packet);

// Reads to the end.
int count_frames(VideoInput& input);

// Frames in the order shown, as the file stores them.
class VideoDecoder {
 public:
  explicit VideoDecoder(VideoInput& input);
  // False at the end. DataError for a damaged frame, and for one of another size or pixel format
  // than the first.
  bool next(AVFrame& frame);
  int decoded() const { return decoded_; }

 private:
  void feed();
  void require_whole_slices(int errors_before) const;
  void require_alike(const AVFrame& frame);

  VideoInput& input_;
  libav::CodecPtr codec_;
  libav::PacketPtr packet_ = libav::make_packet();
  bool ended_ = false;
  int decoded_ = 0;
  FrameSize size_;
  int format_ = -1;
};

}  // namespace cogvx::io
