#include "io/png_encoder.h"

#include <cstring>

#include "core/base/errors.h"
#include "io/encoders.h"

namespace cogvx::io {

PngEncoder::PngEncoder(FrameSize size) {
  if (size.width < 1 || size.height < 1) {
    throw UsageError("PNG of " + std::to_string(size.width) + "x" + std::to_string(size.height) +
                     " pixels: wanted at least 1x1");
  }
  libav::silence_log();
  const AVCodec& png = find_encoder("png", AV_CODEC_ID_PNG);
  codec_ = libav::make_codec(png);
  codec_->width = size.width;
  codec_->height = size.height;
  codec_->pix_fmt = AV_PIX_FMT_RGB24;
  codec_->time_base = {1, 1};
  codec_->thread_count = 1;
  codec_->flags |= AV_CODEC_FLAG_BITEXACT;
  // Fixed, so that another libav's defaults cannot change the bytes.
  codec_->compression_level = 6;
  libav::Dictionary options;
  options.set("pred", "mixed");
  const int opened = avcodec_open2(codec_.get(), &png, options.address());
  if (opened < 0)
    throw OutputError("libav's png encoder does not open: " + libav::error_text(opened));
  frame_ = libav::make_frame(size.width, size.height, AV_PIX_FMT_RGB24);
}

const AVPacket& PngEncoder::encode(ImageView image, const std::filesystem::path& path) {
  libav::check_output(av_frame_make_writable(frame_.get()), path, "cannot encode the PNG");
  const size_t row_bytes = size_t{3} * static_cast<size_t>(image.size.width);
  for (int y = 0; y < image.size.height; ++y) {
    std::memcpy(frame_->data[0] + static_cast<ptrdiff_t>(y) * frame_->linesize[0],
                image.pixels + static_cast<size_t>(y) * row_bytes, row_bytes);
  }
  ++frame_->pts;
  av_packet_unref(packet_.get());
  libav::check_output(avcodec_send_frame(codec_.get(), frame_.get()), path,
                      "cannot encode the PNG");
  libav::check_output(avcodec_receive_packet(codec_.get(), packet_.get()), path,
                      "cannot encode the PNG");
  return *packet_;
}

}  // namespace cogvx::io
