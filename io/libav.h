#pragma once

// Owners and errors for libav objects; included by this folder's sources only.

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
}

#include <filesystem>
#include <memory>
#include <string>

namespace cogvx::io::libav {

struct FrameDeleter {
  void operator()(AVFrame* frame) const { av_frame_free(&frame); }
};
struct PacketDeleter {
  void operator()(AVPacket* packet) const { av_packet_free(&packet); }
};
struct CodecDeleter {
  void operator()(AVCodecContext* codec) const { avcodec_free_context(&codec); }
};
struct InputDeleter {
  void operator()(AVFormatContext* input) const { avformat_close_input(&input); }
};
struct OutputDeleter {
  void operator()(AVFormatContext* output) const {
    avio_closep(&output->pb);
    avformat_free_context(output);
  }
};
using FramePtr = std::unique_ptr<AVFrame, FrameDeleter>;
using PacketPtr = std::unique_ptr<AVPacket, PacketDeleter>;
using CodecPtr = std::unique_ptr<AVCodecContext, CodecDeleter>;
using InputPtr = std::unique_ptr<AVFormatContext, InputDeleter>;
using OutputPtr = std::unique_ptr<AVFormatContext, OutputDeleter>;

// A dictionary that libav's option calls fill and consume.
class Dictionary {
 public:
  Dictionary() = default;
  ~Dictionary() { av_dict_free(&entries_); }
  Dictionary(const Dictionary&) = delete;
  Dictionary& operator=(const Dictionary&) = delete;

  void set(const std::string& key, const std::string& value);
  AVDictionary** address() { return &entries_; }

 private:
  AVDictionary* entries_ = nullptr;
};

FramePtr make_frame();
// A frame with padded pixel memory, as swscale's vector code wants it.
FramePtr make_frame(int width, int height, AVPixelFormat format);
PacketPtr make_packet();
CodecPtr make_codec(const AVCodec& codec);

// libav prints to stderr unless told not to; what went wrong belongs into the exception.
void silence_log();
// How many errors libav has told its log on this thread since `silence_log`, some of which it
// returns to nobody.
int logged_errors();

std::string error_text(int error);

// Throw when `error` is negative: OutputError (with a cure for errno codes) and DataError.
void check_output(int error, const std::filesystem::path& path, const std::string& problem);
void check_input(int error, const std::filesystem::path& path, const std::string& problem);

// A URL that libav takes literally, colons and all.
std::string file_url(const std::filesystem::path& path);

}  // namespace cogvx::io::libav
