#include "io/image_reader.h"

#include <cstring>
#include <span>

#include "core/base/errors.h"
#include "core/base/read_file.h"
#include "io/libav.h"
#include "io/messages.h"
#include "io/orientation.h"
#include "io/picture_header.h"
#include "io/picture_pixels.h"

namespace cogvx::io {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxFileBytes = size_t{1} << 30;
constexpr const char* kProblem = "cannot decode the picture";

std::string text_of(FrameSize size) {
  return std::to_string(size.width) + "x" + std::to_string(size.height);
}

struct PictureFile {
  std::string bytes;
  PictureHeader header;
};

PictureFile open_picture(const fs::path& path) {
  PictureFile file{.bytes = read_file(path, kMaxFileBytes), .header = {}};
  const std::span bytes(reinterpret_cast<const uint8_t*>(file.bytes.data()), file.bytes.size());
  file.header = parse_picture_header(bytes, quoted(path));
  return file;
}

void refuse_unreadable(const PictureHeader& header, const fs::path& path) {
  if (header.format == PictureFormat::kWebp && header.animated) {
    throw DataError(quoted(path) +
                    ": animated WebP, wanted a still picture; save one of its frames first");
  }
  if (header.jpeg_components == 4 && !header.jpeg_adobe) {
    throw DataError(quoted(path) +
                    ": JPEG of 4 channels without Adobe's marker, which tells CMYK from its "
                    "inverse; convert it to RGB first");
  }
}

const AVCodec& find_decoder(PictureFormat format, const fs::path& path) {
  const AVCodecID id = format == PictureFormat::kPng    ? AV_CODEC_ID_PNG
                       : format == PictureFormat::kJpeg ? AV_CODEC_ID_MJPEG
                                                        : AV_CODEC_ID_WEBP;
  const AVCodec* decoder = avcodec_find_decoder(id);
  if (!decoder) {
    throw DataError(quoted(path) + ": this libav has no decoder for " + avcodec_get_name(id) +
                    "; install one that has");
  }
  return *decoder;
}

libav::CodecPtr open_decoder(const PictureHeader& header, const fs::path& path) {
  const AVCodec& decoder = find_decoder(header.format, path);
  libav::CodecPtr codec = libav::make_codec(decoder);
  codec->thread_count = 1;
  // A damaged picture is an error, never a picture with holes.
  codec->err_recognition = AV_EF_CRCCHECK | AV_EF_EXPLODE;
  // Whole numbers in plain C: the same bytes on every CPU.
  codec->idct_algo = FF_IDCT_INT;
  // A second, larger header inside must not get memory; the margin is for whole blocks.
  codec->max_pixels = (int64_t{header.size.width} + 64) * (int64_t{header.size.height} + 64);
  libav::check_input(avcodec_open2(codec.get(), &decoder, nullptr), path, kProblem);
  return codec;
}

libav::FramePtr decode(const PictureFile& file, const fs::path& path) {
  libav::silence_log();
  const libav::CodecPtr codec = open_decoder(file.header, path);
  const libav::PacketPtr packet = libav::make_packet();
  libav::check_input(av_new_packet(packet.get(), static_cast<int>(file.header.end)), path,
                     kProblem);
  std::memcpy(packet->data, file.bytes.data(), file.header.end);
  libav::FramePtr frame = libav::make_frame();
  libav::check_input(avcodec_send_packet(codec.get(), packet.get()), path, kProblem);
  libav::check_input(avcodec_send_packet(codec.get(), nullptr), path, kProblem);
  libav::check_input(avcodec_receive_frame(codec.get(), frame.get()), path, kProblem);
  const FrameSize size{.width = frame->width, .height = frame->height};
  if (frame->decode_error_flags != 0 || !(size == file.header.size)) {
    throw DataError(quoted(path) + ": damaged picture: its header says " +
                    text_of(file.header.size) + " pixels, libav decodes " + text_of(size) +
                    "; make the file again");
  }
  return frame;
}

std::vector<std::string> notices_of(const PictureHeader& header, const PicturePixels& pixels) {
  std::vector<std::string> notices;
  if (header.animated) notices.push_back("animated picture: the first one is taken");
  if (pixels.was_deep) notices.push_back("more than 8 bits a channel: the upper 8 are taken");
  if (header.jpeg_components == 4) notices.push_back("CMYK becomes RGB without a colour profile");
  if (pixels.has_alpha) {
    notices.push_back(
        "alpha is dropped, which leaves the colours stored beneath it; to see another ground, "
        "flatten it first");
  }
  return notices;
}

}  // namespace

DecodedImage decode_image(const fs::path& path) {
  const PictureFile file = open_picture(path);
  refuse_unreadable(file.header, path);
  PicturePixels pixels = picture_pixels(*decode(file, path), file.header.format);
  return {.image = upright(std::move(pixels.image), file.header.orientation),
          .notices = notices_of(file.header, pixels)};
}

Image read_image(const fs::path& path, const Monitor& monitor) {
  DecodedImage decoded = decode_image(path);
  for (const std::string& text : decoded.notices) monitor.notice(quoted(path) + ": " + text);
  return std::move(decoded.image);
}

FrameSize read_image_size(const fs::path& path) {
  const PictureHeader header = open_picture(path).header;
  return upright_size(header.size, header.orientation);
}

}  // namespace cogvx::io
