#include "io/libav.h"

#include <array>
#include <cstdarg>
#include <new>

#include "core/base/errors.h"
#include "io/messages.h"

namespace cogvx::io::libav {
namespace {

// libav's own codes are four-letter tags, far below every errno.
bool is_errno(int error) { return error < 0 && error > -4096; }

// libav's log has one callback for the process and no handle to give it; a decoder of one thread
// logs on its caller's.
thread_local int error_count = 0;

void count_errors(void* /*source*/, int level, const char* /*format*/, va_list /*arguments*/) {
  if (level <= AV_LOG_ERROR) ++error_count;
}

}  // namespace

void Dictionary::set(const std::string& key, const std::string& value) {
  if (av_dict_set(&entries_, key.c_str(), value.c_str(), /*flags=*/0) < 0) throw std::bad_alloc();
}

FramePtr make_frame() {
  FramePtr frame(av_frame_alloc());
  if (!frame) throw std::bad_alloc();
  return frame;
}

FramePtr make_frame(int width, int height, AVPixelFormat format) {
  FramePtr frame = make_frame();
  frame->width = width;
  frame->height = height;
  frame->format = format;
  if (av_frame_get_buffer(frame.get(), /*align=*/0) < 0) throw std::bad_alloc();
  return frame;
}

PacketPtr make_packet() {
  PacketPtr packet(av_packet_alloc());
  if (!packet) throw std::bad_alloc();
  return packet;
}

CodecPtr make_codec(const AVCodec& codec) {
  CodecPtr context(avcodec_alloc_context3(&codec));
  if (!context) throw std::bad_alloc();
  return context;
}

void silence_log() { av_log_set_callback(count_errors); }

int logged_errors() { return error_count; }

std::string error_text(int error) {
  std::array<char, AV_ERROR_MAX_STRING_SIZE> text{};
  return av_make_error_string(text.data(), text.size(), error);
}

void check_output(int error, const std::filesystem::path& path, const std::string& problem) {
  if (error >= 0) return;
  if (is_errno(error)) throw OutputError(output_error_text(path, problem, AVUNERROR(error)));
  throw OutputError(quoted(path) + ": " + problem + ": " + error_text(error) +
                    "; try another size, codec or path");
}

void check_input(int error, const std::filesystem::path& path, const std::string& problem) {
  if (error >= 0) return;
  throw DataError(quoted(path) + ": " + problem + ": " + error_text(error) +
                  "; give a whole file that ffprobe can read");
}

std::string file_url(const std::filesystem::path& path) { return "file:" + path.string(); }

}  // namespace cogvx::io::libav
