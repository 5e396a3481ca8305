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
#include "io/messages.h"
#include "io/video_input.h"

namespace cogvx::io {
namespace {

namespace fs = std::filesystem;

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

bool keeps_rgb(const AVCodecParameters& codec) {
  const AVCodecDescriptor* known = avcodec_descriptor_get(codec.codec_id);
  const AVPixFmtDescriptor* format = av_pix_fmt_desc_get(static_cast<AVPixelFormat>(codec.format));
  constexpr int kBoth = AV_CODEC_PROP_LOSSLESS | AV_CODEC_PROP_LOSSY;
  return known && format && (known->props & kBoth) == AV_CODEC_PROP_LOSSLESS &&
         (format->flags & AV_PIX_FMT_FLAG_RGB) != 0;
}

double duration_of(const VideoInput& input) {
  if (input.stream->duration != AV_NOPTS_VALUE) {
    return static_cast<double>(input.stream->duration) * av_q2d(input.stream->time_base);
  }
  if (input.format->duration == AV_NOPTS_VALUE) return 0;
  return static_cast<double>(input.format->duration) / AV_TIME_BASE;
}

}  // namespace

VideoInfo read_video_info(const fs::path& path) {
  VideoInput input = open_video(path);
  const AVCodecParameters& codec = *input.stream->codecpar;
  const AVRational rate = av_guess_frame_rate(input.format.get(), input.stream, nullptr);
  return {
      .codec = avcodec_get_name(codec.codec_id),
      .pixel_format =
          name_or_unknown(av_get_pix_fmt_name(static_cast<AVPixelFormat>(codec.format))),
      .keeps_rgb = keeps_rgb(codec),
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
  VideoInput input = open_video(path);
  VideoDecoder decoder(input);
  const libav::FramePtr frame = libav::make_frame();
  std::optional<RgbDecoder> converter;
  Frames frames;
  while (decoder.next(*frame)) {
    if (!converter) {
      converter.emplace(*frame);
      frames.size = {.width = frame->width, .height = frame->height};
    }
    const size_t offset = frames.pixels.size();
    frames.pixels.resize(offset + frames.size.bytes());
    converter->convert(*frame, frames.pixels.data() + offset);
    ++frames.count;
  }
  if (frames.count == 0) {
    throw DataError(quoted(path) + ": video without frames; wanted one or more");
  }
  return frames;
}

}  // namespace cogvx::io
