#include "io/codec_profiles.h"

extern "C" {
#include <libavutil/cpu.h>
}

#include <algorithm>
#include <array>

#include "io/encoders.h"

namespace cogvx::io {
namespace {

// What every encoder with a crf knows.
void choose_quality(const VideoSettings& settings, libav::Dictionary& options) {
  options.set("crf", std::to_string(settings.crf));
  options.set("preset", "medium");
}

void choose_h264_options(AVCodecContext& context, const VideoSettings& settings,
                         libav::Dictionary& options) {
  choose_quality(settings, options);
  if (settings.key_frame_interval > 0) {
    context.gop_size = settings.key_frame_interval;
    context.max_b_frames = 0;
  }
  // x264's AVX-512 code reads memory that was never written, and the bytes depend on what is there.
  if (av_get_cpu_flags() & AV_CPU_FLAG_AVX512) options.set("x264-params", "asm=avx2");
}

void choose_hevc_options(AVCodecContext&, const VideoSettings& settings,
                         libav::Dictionary& options) {
  choose_quality(settings, options);
  // Left alone, x265 takes frame threads, pools and slices of its lookahead by the number of cores.
  // Rows in a wave front (wpp) are in the bytes, and need a pool; how many threads it has is not.
  options.set("x265-params",
              "bframes=4:b-pyramid=1:frame-threads=1:wpp=1:lookahead-slices=0:pmode=0:pme=0:info=0:"
              "log-level=none:pools=" +
                  std::to_string(settings.encoder_threads));
}

void choose_ffv1_options(AVCodecContext& context, const VideoSettings&,
                         libav::Dictionary& options) {
  context.level = 3;
  // Every frame can be decoded alone.
  context.gop_size = 1;
  context.slices = 4;
  options.set("slicecrc", "1");
  // Fixed, so that another libav's defaults cannot change the bytes.
  options.set("coder", "range_tab");
  options.set("context", "0");
}

constexpr std::array kProfiles{
    CodecProfile{.codec = VideoCodec::kH264,
                 .name = "h264",
                 .encoder = "libx264",
                 .id = AV_CODEC_ID_H264,
                 .container = "mp4",
                 .extension = ".mp4",
                 .tag = 0,
                 .pixel_format = AV_PIX_FMT_YUV420P,
                 .color_space = AVCOL_SPC_BT709,
                 .color_range = AVCOL_RANGE_MPEG,
                 .size_multiple = 2,
                 .least_size = {.width = 2, .height = 2},
                 .max_crf = 51,
                 .reorder_depth = std::nullopt,
                 .choose_options = choose_h264_options},
    CodecProfile{.codec = VideoCodec::kHevc,
                 .name = "hevc",
                 .encoder = "libx265",
                 .id = AV_CODEC_ID_HEVC,
                 .container = "mp4",
                 .extension = ".mp4",
                 // libav's own choice, hev1, is refused by Apple's players.
                 .tag = MKTAG('h', 'v', 'c', '1'),
                 .pixel_format = AV_PIX_FMT_YUV420P,
                 .color_space = AVCOL_SPC_BT709,
                 .color_range = AVCOL_RANGE_MPEG,
                 .size_multiple = 2,
                 // x265 writes beyond its buffers in narrower pictures, aborts in lower ones, and
                 // at 64 columns its bytes depend on what the memory held before.
                 .least_size = {.width = 66, .height = 16},
                 .max_crf = 51,
                 // With one or two frames x265 takes a decoding time from memory it never wrote. A
                 // pyramid of B frames is two deep.
                 .reorder_depth = 2,
                 .choose_options = choose_hevc_options},
    CodecProfile{.codec = VideoCodec::kFfv1,
                 .name = "ffv1",
                 .encoder = "ffv1",
                 .id = AV_CODEC_ID_FFV1,
                 .container = "matroska",
                 .extension = ".mkv",
                 .tag = 0,
                 .pixel_format = AV_PIX_FMT_BGR0,
                 .color_space = AVCOL_SPC_RGB,
                 .color_range = AVCOL_RANGE_JPEG,
                 .size_multiple = 1,
                 // libav gives other pixels back where a picture has fewer rows or columns.
                 .least_size = {.width = 3, .height = 3},
                 .max_crf = std::nullopt,
                 .reorder_depth = std::nullopt,
                 .choose_options = choose_ffv1_options},
};

}  // namespace

const CodecProfile& profile_of(VideoCodec codec) {
  return *std::find_if(kProfiles.begin(), kProfiles.end(),
                       [codec](const CodecProfile& profile) { return profile.codec == codec; });
}

const char* codec_name(VideoCodec codec) { return profile_of(codec).name; }

std::optional<VideoCodec> codec_of_name(std::string_view name) {
  for (const CodecProfile& profile : kProfiles) {
    if (name == profile.name) return profile.codec;
  }
  return std::nullopt;
}

const char* codec_extension(VideoCodec codec) { return profile_of(codec).extension; }

bool codec_has_crf(VideoCodec codec) { return profile_of(codec).max_crf.has_value(); }

libav::CodecPtr open_encoder(const std::filesystem::path& path, FrameSize size,
                             const VideoSettings& settings) {
  const CodecProfile& profile = profile_of(settings.codec);
  const AVCodec& encoder = find_encoder(profile.encoder, profile.id);
  libav::CodecPtr codec = libav::make_codec(encoder);
  codec->codec_tag = profile.tag;
  codec->width = size.width;
  codec->height = size.height;
  codec->pix_fmt = profile.pixel_format;
  codec->sample_aspect_ratio = {1, 1};
  codec->framerate = {settings.frame_rate.numerator, settings.frame_rate.denominator};
  codec->time_base = av_inv_q(codec->framerate);
  codec->color_primaries = AVCOL_PRI_BT709;
  codec->color_trc = AVCOL_TRC_BT709;
  codec->colorspace = profile.color_space;
  codec->color_range = profile.color_range;
  if (profile.color_space != AVCOL_SPC_RGB) codec->chroma_sample_location = AVCHROMA_LOC_LEFT;
  codec->thread_count = settings.encoder_threads;
  codec->flags |= AV_CODEC_FLAG_BITEXACT | AV_CODEC_FLAG_GLOBAL_HEADER;
  libav::Dictionary options;
  profile.choose_options(*codec, settings, options);
  libav::check_output(avcodec_open2(codec.get(), &encoder, options.address()), path,
                      std::string("the encoder ") + profile.encoder + " does not open");
  return codec;
}

}  // namespace cogvx::io
