#include "io/png.h"

#include <array>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <system_error>

#include "core/base/errors.h"
#include "io/atomic_file.h"
#include "io/color_convert.h"
#include "io/encoders.h"
#include "io/libav.h"
#include "io/messages.h"

namespace cogvx::io {
namespace {

namespace fs = std::filesystem;

class PngEncoder {
 public:
  explicit PngEncoder(FrameSize size);
  // The file's bytes, valid until the next call.
  const AVPacket& encode(ImageView image, const fs::path& path);

 private:
  libav::CodecPtr codec_;
  libav::FramePtr frame_;
  libav::PacketPtr packet_ = libav::make_packet();
};

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
  AVDictionary* options = nullptr;
  av_dict_set(&options, "pred", "mixed", /*flags=*/0);
  const int opened = avcodec_open2(codec_.get(), &png, &options);
  av_dict_free(&options);
  if (opened < 0)
    throw OutputError("libav's png encoder does not open: " + libav::error_text(opened));
  frame_ = libav::make_frame(size.width, size.height, AV_PIX_FMT_RGB24);
}

const AVPacket& PngEncoder::encode(ImageView image, const fs::path& path) {
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

void write_encoded(const fs::path& path, const AVPacket& packet) {
  AtomicFile file(path);
  file.write(packet.data, static_cast<size_t>(packet.size));
  file.commit();
}

std::string frame_name(int index) {
  std::array<char, 32> name{};
  std::snprintf(name.data(), name.size(), "%06d.png", index);
  return name.data();
}

libav::PacketPtr read_packet(const fs::path& path) {
  constexpr const char* kProblem = "cannot read the PNG";
  std::error_code error;
  const uintmax_t size = fs::file_size(path, error);
  libav::check_input(error ? AVERROR(error.value()) : 0, path, kProblem);
  libav::check_input(size > INT_MAX / 2 ? AVERROR(EFBIG) : 0, path, kProblem);
  libav::PacketPtr packet = libav::make_packet();
  libav::check_input(av_new_packet(packet.get(), static_cast<int>(size)), path, kProblem);
  std::ifstream file(path, std::ios::binary);
  file.read(reinterpret_cast<char*>(packet->data), static_cast<std::streamsize>(size));
  if (!file) libav::check_input(AVERROR(errno != 0 ? errno : EIO), path, kProblem);
  return packet;
}

}  // namespace

void write_png(const fs::path& path, ImageView image) {
  PngEncoder encoder(image.size);
  write_encoded(path, encoder.encode(image, path));
}

void write_png_frames(const fs::path& folder, const FramesView& frames,
                      const FrameProgress& progress) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) {
    throw OutputError(
        output_error_text(folder, "cannot make the folder for the frames", error.value()));
  }
  PngEncoder encoder(frames.size);
  for (int i = 0; i < frames.count; ++i) {
    const fs::path path = folder / frame_name(i);
    write_encoded(path, encoder.encode(frames[i], path));
    if (progress) progress(i + 1, frames.count);
  }
}

Image read_png(const fs::path& path) {
  libav::silence_log();
  const libav::PacketPtr packet = read_packet(path);
  const AVCodec* png = avcodec_find_decoder(AV_CODEC_ID_PNG);
  if (!png) throw DataError(quoted(path) + ": this libav has no PNG decoder; install one that has");
  const libav::CodecPtr codec = libav::make_codec(*png);
  codec->thread_count = 1;
  // A damaged picture is an error, never a picture with holes.
  codec->err_recognition = AV_EF_CRCCHECK | AV_EF_EXPLODE;
  const libav::FramePtr frame = libav::make_frame();
  libav::check_input(avcodec_open2(codec.get(), png, nullptr), path, "cannot decode the PNG");
  libav::check_input(avcodec_send_packet(codec.get(), packet.get()), path, "cannot decode the PNG");
  libav::check_input(avcodec_send_packet(codec.get(), nullptr), path, "cannot decode the PNG");
  libav::check_input(avcodec_receive_frame(codec.get(), frame.get()), path,
                     "cannot decode the PNG");

  Image image;
  image.size = {.width = frame->width, .height = frame->height};
  image.pixels.resize(image.size.bytes());
  RgbDecoder(*frame).convert(*frame, image.pixels.data());
  return image;
}

}  // namespace cogvx::io
