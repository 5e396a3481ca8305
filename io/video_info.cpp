#include "io/video_info.h"

extern "C" {
#include <libavutil/pixdesc.h>
}

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "core/base/errors.h"
#include "io/color_convert.h"
#include "io/libav.h"
#include "io/messages.h"

namespace cogvx::io {
namespace {

namespace fs = std::filesystem;

struct VideoInput {
  fs::path path;
  libav::InputPtr format;
  AVStream* stream = nullptr;
  const AVCodec* decoder = nullptr;
  int packets_read = 0;
};

VideoInput open_input(const fs::path& path) {
  libav::silence_log();
  VideoInput input{.path = path, .format = nullptr};
  AVFormatContext* format = nullptr;
  libav::check_input(avformat_open_input(&format, libav::file_url(path).c_str(), nullptr, nullptr),
                     path, "cannot open the video");
  input.format.reset(format);
  libav::check_input(avformat_find_stream_info(format, nullptr), path, "cannot read the video");
  const int index = av_find_best_stream(format, AVMEDIA_TYPE_VIDEO, /*wanted_stream_nb=*/-1,
                                        /*related_stream=*/-1, &input.decoder, /*flags=*/0);
  libav::check_input(index, path, "no video that this libav decodes");
  input.stream = format->streams[index];
  return input;
}

// The demuxer ends quietly where a file was cut off; its index then holds more than came out.
void require_whole(const VideoInput& input) {
  const int indexed = avformat_index_get_entries_count(input.stream);
  if (input.packets_read >= indexed) return;
  throw DataError(quoted(input.path) + ": video cut off after " +
                  std::to_string(input.packets_read) + " of " + std::to_string(indexed) +
                  " frames; copy or make the file again");
}

// False at the end. Only packets of the video stream come out. DataError for a file that was cut
// off.
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

std::string name_or_unknown(const char* name) { return name ? name : "unknown"; }

// What the muxer writes into every file describes the container, not the video.
bool is_container_tag(const std::string& key) {
  constexpr std::array kKeys{"major_brand", "minor_version", "compatible_brands", "encoder"};
  return std::find(kKeys.begin(), kKeys.end(), key) != kKeys.end();
}

std::map<std::string, std::string> metadata_of(const AVFormatContext& format) {
  std::map<std::string, std::string> metadata;
  // Matroska's own custom, which this program does not follow.
  const bool upper_case_keys = std::string_view(format.iformat->name) == "matroska,webm";
  const AVDictionaryEntry* entry = nullptr;
  while ((entry = av_dict_get(format.metadata, "", entry, AV_DICT_IGNORE_SUFFIX))) {
    const std::string key = upper_case_keys ? lower_case(entry->key) : entry->key;
    if (!is_container_tag(key)) metadata[key] = entry->value;
  }
  return metadata;
}

double duration_of(const VideoInput& input) {
  if (input.stream->duration != AV_NOPTS_VALUE) {
    return static_cast<double>(input.stream->duration) * av_q2d(input.stream->time_base);
  }
  if (input.format->duration == AV_NOPTS_VALUE) return 0;
  return static_cast<double>(input.format->duration) / AV_TIME_BASE;
}

// Decodes packet by packet into one growing array.
class FrameReader {
 public:
  explicit FrameReader(VideoInput& input);
  Frames read_all();

 private:
  void take_decoded(Frames& frames);
  void append(const AVFrame& frame, Frames& frames);

  VideoInput& input_;
  libav::CodecPtr codec_;
  libav::FramePtr frame_ = libav::make_frame();
  std::optional<RgbDecoder> converter_;
};

FrameReader::FrameReader(VideoInput& input)
    : input_(input), codec_(libav::make_codec(*input.decoder)) {
  constexpr const char* kProblem = "cannot decode the video";
  libav::check_input(avcodec_parameters_to_context(codec_.get(), input.stream->codecpar),
                     input.path, kProblem);
  codec_->thread_count = 1;
  // A damaged picture is an error, never a picture with holes.
  codec_->err_recognition = AV_EF_CRCCHECK | AV_EF_EXPLODE;
  libav::check_input(avcodec_open2(codec_.get(), input.decoder, nullptr), input.path, kProblem);
}

Frames FrameReader::read_all() {
  Frames frames;
  const libav::PacketPtr packet = libav::make_packet();
  bool more = true;
  while (more) {
    more = next_packet(input_, *packet);
    const int sent = avcodec_send_packet(codec_.get(), more ? packet.get() : nullptr);
    libav::check_input(sent, input_.path,
                       "cannot decode the video near frame " + std::to_string(frames.count));
    take_decoded(frames);
  }
  if (frames.count == 0)
    throw DataError(quoted(input_.path) + ": video without frames; wanted one or more");
  return frames;
}

void FrameReader::take_decoded(Frames& frames) {
  while (true) {
    const int received = avcodec_receive_frame(codec_.get(), frame_.get());
    if (received == AVERROR(EAGAIN) || received == AVERROR_EOF) return;
    libav::check_input(received, input_.path,
                       "cannot decode frame " + std::to_string(frames.count));
    append(*frame_, frames);
  }
}

void FrameReader::append(const AVFrame& frame, Frames& frames) {
  if (!converter_) {
    converter_.emplace(frame);
    frames.size = {.width = frame.width, .height = frame.height};
  }
  if (!converter_->accepts(frame)) {
    throw DataError(quoted(input_.path) + ": frame " + std::to_string(frames.count) +
                    " has another size or pixel format than the first; wanted one for the whole "
                    "video; convert the file with ffmpeg first");
  }
  const size_t offset = frames.pixels.size();
  frames.pixels.resize(offset + frames.size.bytes());
  converter_->convert(frame, frames.pixels.data() + offset);
  ++frames.count;
}

}  // namespace

VideoInfo read_video_info(const fs::path& path) {
  VideoInput input = open_input(path);
  const AVCodecParameters& codec = *input.stream->codecpar;
  const AVRational rate = av_guess_frame_rate(input.format.get(), input.stream, nullptr);
  return {
      .codec = avcodec_get_name(codec.codec_id),
      .pixel_format =
          name_or_unknown(av_get_pix_fmt_name(static_cast<AVPixelFormat>(codec.format))),
      .size = {.width = codec.width, .height = codec.height},
      .frame_rate = {.numerator = rate.num, .denominator = rate.den},
      .frame_count = count_frames(input),
      .color_primaries = name_or_unknown(av_color_primaries_name(codec.color_primaries)),
      .color_transfer = name_or_unknown(av_color_transfer_name(codec.color_trc)),
      .color_space = name_or_unknown(av_color_space_name(codec.color_space)),
      .color_range = name_or_unknown(av_color_range_name(codec.color_range)),
      .duration_seconds = duration_of(input),
      .metadata = metadata_of(*input.format),
  };
}

Frames read_video_frames(const fs::path& path) {
  VideoInput input = open_input(path);
  return FrameReader(input).read_all();
}

}  // namespace cogvx::io
