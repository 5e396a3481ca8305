#include "io/png.h"

#include <cerrno>
#include <climits>
#include <fstream>
#include <system_error>

#include "core/base/errors.h"
#include "io/atomic_file.h"
#include "io/color_convert.h"
#include "io/frames_folder.h"
#include "io/libav.h"
#include "io/messages.h"
#include "io/png_encoder.h"

namespace cogvx::io {
namespace {

namespace fs = std::filesystem;

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
  const AVPacket& packet = encoder.encode(image, path);
  AtomicFile file(path);
  file.write(packet.data, static_cast<size_t>(packet.size));
  file.commit();
}

void write_png_frames(const fs::path& folder, const FramesView& frames,
                      const FrameProgress& progress) {
  FramesFolder output(folder);
  output.write(frames, progress);
  output.commit();
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
