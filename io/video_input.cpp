#include "io/video_input.h"

#include <string>

#include "core/base/errors.h"
#include "io/messages.h"

namespace cogvx::io {
namespace {

namespace fs = std::filesystem;

bool has_stream(const AVFormatContext& format, AVMediaType type) {
  for (unsigned i = 0; i < format.nb_streams; ++i) {
    if (format.streams[i]->codecpar->codec_type == type) return true;
  }
  return false;
}

[[noreturn]] void throw_sound_only(const fs::path& path) {
  throw DataError(quoted(path) + ": sound without a video; give a file that has pictures");
}

// The demuxer ends quietly where a file was cut off; its index then holds more than came out.
void require_whole(const VideoInput& input) {
  const int indexed = avformat_index_get_entries_count(input.stream);
  if (input.packets_read >= indexed) return;
  throw DataError(quoted(input.path) + ": video cut off after " +
                  std::to_string(input.packets_read) + " of " + std::to_string(indexed) +
                  " frames; copy or make the file again");
}

}  // namespace

VideoInput open_video(const fs::path& path) {
  libav::silence_log();
  VideoInput input{.path = path, .format = nullptr};
  AVFormatContext* format = nullptr;
  libav::check_input(avformat_open_input(&format, libav::file_url(path).c_str(), nullptr, nullptr),
                     path, "cannot open the video");
  input.format.reset(format);
  libav::check_input(avformat_find_stream_info(format, nullptr), path, "cannot read the video");
  const int index = av_find_best_stream(format, AVMEDIA_TYPE_VIDEO, /*wanted_stream_nb=*/-1,
                                        /*related_stream=*/-1, &input.decoder, /*flags=*/0);
  const bool sound = has_stream(*format, AVMEDIA_TYPE_AUDIO);
  if (index == AVERROR_STREAM_NOT_FOUND && sound) throw_sound_only(path);
  libav::check_input(index, path, "no video that this libav decodes");
  input.stream = format->streams[index];
  // The cover of a piece of music.
  if (sound && (input.stream->disposition & AV_DISPOSITION_ATTACHED_PIC)) throw_sound_only(path);
  return input;
}

bool next_packet(VideoInput& input, AVPacket& packet) {
  while (true) {
    av_packet_unref(&packet);
    const int read = av_read_frame(input.format.get(), &packet);
    if (read == AVERROR_EOF) {
      require_whole(input);
      return false;
    }
    libav::check_input(read, input.path, "cannot read the video");
    if (packet.stream_index != input.stream->index) continue;
    if (packet.flags & AV_PKT_FLAG_CORRUPT) {
      libav::check_input(AVERROR_INVALIDDATA, input.path,
                         "cannot read frame " + std::to_string(input.packets_read));
    }
    ++input.packets_read;
    return true;
  }
}

int count_frames(VideoInput& input) {
  const libav::PacketPtr packet = libav::make_packet();
  int count = 0;
  while (next_packet(input, *packet)) {
    if (!(packet->flags & AV_PKT_FLAG_DISCARD)) ++count;
  }
  return count;
}

VideoDecoder::VideoDecoder(VideoInput& input)
    : input_(input), codec_(libav::make_codec(*input.decoder)) {
  constexpr const char* kProblem = "cannot decode the video";
  libav::check_input(avcodec_parameters_to_context(codec_.get(), input.stream->codecpar),
                     input.path, kProblem);
  codec_->thread_count = 1;
  codec_->pkt_timebase = input.stream->time_base;
  // A damaged picture is an error, never a picture with holes.
  codec_->err_recognition = AV_EF_CRCCHECK | AV_EF_EXPLODE;
  libav::check_input(avcodec_open2(codec_.get(), input.decoder, nullptr), input.path, kProblem);
}

void VideoDecoder::feed() {
  ended_ = !next_packet(input_, *packet_);
  const int sent = avcodec_send_packet(codec_.get(), ended_ ? nullptr : packet_.get());
  libav::check_input(sent, input_.path,
                     "cannot decode the video near frame " + std::to_string(decoded_));
}

// FFV1 checks its slices, but only tells the log and fills holes from the frame before.
void VideoDecoder::require_whole_slices(int errors_before) const {
  if (codec_->codec_id != AV_CODEC_ID_FFV1 || libav::logged_errors() == errors_before) return;
  throw DataError(quoted(input_.path) + ": frame " + std::to_string(decoded_) +
                  " is damaged (its checksum differs); copy or make the file again");
}

bool VideoDecoder::next(AVFrame& frame) {
  const int errors_before = libav::logged_errors();
  while (true) {
    const int received = avcodec_receive_frame(codec_.get(), &frame);
    if (received == AVERROR_EOF) return false;
    if (received == AVERROR(EAGAIN) && !ended_) {
      feed();
      continue;
    }
    libav::check_input(received, input_.path, "cannot decode frame " + std::to_string(decoded_));
    require_whole_slices(errors_before);
    require_alike(frame);
    ++decoded_;
    return true;
  }
}

void VideoDecoder::require_alike(const AVFrame& frame) {
  const FrameSize size{.width = frame.width, .height = frame.height};
  if (decoded_ == 0) {
    size_ = size;
    format_ = frame.format;
  }
  if (size == size_ && frame.format == format_) return;
  throw DataError(quoted(input_.path) + ": frame " + std::to_string(decoded_) +
                  " has another size or pixel format than the first; wanted one for the whole "
                  "video; convert the file with ffmpeg first");
}

}  // namespace cogvx::io
