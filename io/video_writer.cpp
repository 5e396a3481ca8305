#include "io/video_writer.h"

#include <algorithm>
#include <array>
#include <climits>
#include <new>
#include <optional>
#include <string_view>

#include "core/base/errors.h"
#include "io/atomic_file.h"
#include "io/codec_profiles.h"
#include "io/color_convert.h"
#include "io/encoders.h"
#include "io/libav.h"
#include "io/messages.h"

namespace cogvx::io {
namespace {

namespace fs = std::filesystem;

// x264 takes no more threads than this, and nobody needs more.
constexpr int kMaxEncoderThreads = 128;

void require(bool met, const std::string& thing, const std::string& wanted) {
  if (!met) throw UsageError(thing + "; wanted " + wanted);
}

std::string pixels(FrameSize size) {
  return std::to_string(size.width) + "x" + std::to_string(size.height) + " pixels";
}

void check_size(const CodecProfile& profile, FrameSize size) {
  const int multiple = profile.size_multiple;
  const FrameSize least = profile.least_size;
  require(size.width >= least.width && size.height >= least.height && size.width % multiple == 0 &&
              size.height % multiple == 0,
          std::string(profile.name) + " video of " + pixels(size),
          pixels(least) + " or more" +
              (multiple > 1 ? ", width and height multiples of " + std::to_string(multiple) : ""));
}

// MP4's own tags, which every player knows. Any other key needs the `mdta` form, which fewer
// players read.
bool is_plain_mp4_tag(const std::string& key) {
  constexpr std::array kTags{"title", "artist", "comment", "date", "copyright", "description"};
  return std::find(kTags.begin(), kTags.end(), key) != kTags.end();
}

std::string mov_flags(const std::map<std::string, std::string>& metadata) {
  const bool plain = std::all_of(metadata.begin(), metadata.end(),
                                 [](const auto& entry) { return is_plain_mp4_tag(entry.first); });
  return plain ? "+faststart" : "+faststart+use_metadata_tags";
}

// One video stream in one container.
class Encoding {
 public:
  Encoding(const AtomicFile& file, fs::path shown, FrameSize size, const VideoSettings& settings);
  void add(ImageView image);
  void finish();

 private:
  void open_container(const fs::path& file, const VideoSettings& settings);
  void drain();
  void check(int error, const char* problem) const { libav::check_output(error, shown_, problem); }

  fs::path shown_;
  libav::CodecPtr codec_;
  libav::OutputPtr output_;
  AVStream* stream_ = nullptr;
  RgbEncoder converter_;
  libav::FramePtr frame_;
  libav::PacketPtr packet_ = libav::make_packet();
  std::optional<int> reorder_depth_;
  int64_t next_pts_ = 0;
  int64_t next_packet_ = 0;
};

Encoding::Encoding(const AtomicFile& file, fs::path shown, FrameSize size,
                   const VideoSettings& settings)
    : shown_(std::move(shown)),
      codec_(open_encoder(shown_, size, settings)),
      converter_(size, codec_->pix_fmt),
      frame_(libav::make_frame(size.width, size.height, codec_->pix_fmt)),
      reorder_depth_(profile_of(settings.codec).reorder_depth) {
  frame_->color_primaries = codec_->color_primaries;
  frame_->color_trc = codec_->color_trc;
  frame_->colorspace = codec_->colorspace;
  frame_->color_range = codec_->color_range;
  frame_->chroma_location = codec_->chroma_sample_location;
  open_container(file.temporary_path(), settings);
}

void Encoding::open_container(const fs::path& file, const VideoSettings& settings) {
  constexpr const char* kProblem = "cannot start the video";
  const std::string url = libav::file_url(file);
  AVFormatContext* output = nullptr;
  check(avformat_alloc_output_context2(&output, nullptr, profile_of(settings.codec).container,
                                       url.c_str()),
        kProblem);
  output_.reset(output);
  output->flags |= AVFMT_FLAG_BITEXACT;
  stream_ = avformat_new_stream(output, nullptr);
  if (!stream_) throw std::bad_alloc();
  check(avcodec_parameters_from_context(stream_->codecpar, codec_.get()), kProblem);
  stream_->time_base = codec_->time_base;
  stream_->avg_frame_rate = codec_->framerate;
  stream_->sample_aspect_ratio = codec_->sample_aspect_ratio;
  for (const auto& [key, value] : settings.metadata) {
    check(av_dict_set(&output->metadata, key.c_str(), value.c_str(), /*flags=*/0), kProblem);
  }
  check(avio_open(&output->pb, url.c_str(), AVIO_FLAG_WRITE), kProblem);
  libav::Dictionary options;
  options.set("movflags", mov_flags(settings.metadata));
  check(avformat_write_header(output, options.address()), kProblem);
}

void Encoding::add(ImageView image) {
  // The encoder may still hold the last picture.
  check(av_frame_make_writable(frame_.get()), "cannot encode a frame");
  converter_.convert(image, *frame_);
  frame_->pts = next_pts_++;
  check(avcodec_send_frame(codec_.get(), frame_.get()), "cannot encode a frame");
  drain();
}

void Encoding::drain() {
  while (true) {
    const int received = avcodec_receive_packet(codec_.get(), packet_.get());
    if (received == AVERROR(EAGAIN) || received == AVERROR_EOF) return;
    check(received, "cannot encode a frame");
    // The encoder leaves it out; how long the last frame lasts would be the muxer's guess.
    packet_->duration = 1;
    if (reorder_depth_) packet_->dts = next_packet_ - *reorder_depth_;
    ++next_packet_;
    packet_->stream_index = stream_->index;
    av_packet_rescale_ts(packet_.get(), codec_->time_base, stream_->time_base);
    check(av_interleaved_write_frame(output_.get(), packet_.get()), "cannot write the video");
  }
}

void Encoding::finish() {
  check(avcodec_send_frame(codec_.get(), nullptr), "cannot encode the last frames");
  drain();
  check(av_write_trailer(output_.get()), "cannot finish the video");
  check(avio_closep(&output_->pb), "cannot finish the video");
}

}  // namespace

void check_video(const fs::path& path, FrameSize size, const VideoSettings& settings) {
  libav::silence_log();
  const CodecProfile& profile = profile_of(settings.codec);
  require(lower_case(path.extension().string()) == profile.extension,
          quoted(path) + ": " + profile.name + " video in a file that ends in " +
              quoted(path.extension()),
          std::string("a name that ends in ") + profile.extension);
  check_size(profile, size);
  const FrameRate rate = settings.frame_rate;
  require(rate.numerator > 0 && rate.denominator > 0,
          "frame rate " + std::to_string(rate.numerator) + "/" + std::to_string(rate.denominator),
          "two positive numbers");
  const int max_crf = profile.max_crf.value_or(INT_MAX);
  require(!profile.max_crf || (settings.crf >= 0 && settings.crf <= max_crf),
          "crf " + std::to_string(settings.crf), "0 to " + std::to_string(max_crf));
  require(settings.encoder_threads >= 1 && settings.encoder_threads <= kMaxEncoderThreads,
          std::to_string(settings.encoder_threads) + " encoder threads",
          "1 to " + std::to_string(kMaxEncoderThreads));
  require(settings.key_frame_interval == 0 ||
              (settings.key_frame_interval > 0 && settings.codec == VideoCodec::kH264),
          std::string(profile.name) + " video with a key frame every " +
              std::to_string(settings.key_frame_interval) + " frames",
          "h264 and a positive number");
  find_encoder(profile.encoder, profile.id);
  // Only opening the encoder tells that it takes this size.
  try {
    open_encoder(path, size, settings);
  } catch (const OutputError& error) {
    throw UsageError(error.what());
  }
}

AtomicFile encode_video(const fs::path& path, const FrameSource& frames,
                        const VideoSettings& settings, const FrameProgress& progress) {
  check_video(path, frames.size, settings);
  require(frames.count > 0, quoted(path) + ": video of no frames", "one or more");
  AtomicFile file(path);
  // After `file`, so that libav lets go of the temporary before it is removed.
  Encoding encoding(file, path, frames.size, settings);
  for (int i = 0; i < frames.count; ++i) {
    encoding.add(frames.frame(i));
    if (progress) progress(i + 1, frames.count);
  }
  encoding.finish();
  return file;
}

AtomicFile encode_video(const fs::path& path, const FramesView& frames,
                        const VideoSettings& settings, const FrameProgress& progress) {
  const FrameSource source{
      .count = frames.count, .size = frames.size, .frame = [&](int i) { return frames[i]; }};
  return encode_video(path, source, settings, progress);
}

void write_video(const fs::path& path, const FramesView& frames, const VideoSettings& settings,
                 const FrameProgress& progress) {
  encode_video(path, frames, settings, progress).commit();
}

}  // namespace cogvx::io
