#include "io/video_reader.h"

extern "C" {
#include <libavutil/pixdesc.h>
}

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <set>
#include <string>

#include "core/base/errors.h"
#include "core/base/read_file.h"
#include "io/color_convert.h"
#include "io/frames_folder.h"
#include "io/image_reader.h"
#include "io/messages.h"
#include "io/orientation.h"
#include "io/picture_header.h"
#include "io/video_input.h"

namespace cogvx::io {
namespace {

namespace fs = std::filesystem;

// Asked before libav opens anything: a pipe would wait, a device never end.
VideoInput open_regular(const fs::path& path) {
  const RegularFile probe(path);
  VideoInput input = open_video(path);
  const AVCodecParameters& codec = *input.stream->codecpar;
  if (codec.width <= kMaxSide && codec.height <= kMaxSide) return input;
  throw DataError(quoted(path) + ": frames of " + std::to_string(codec.width) + "x" +
                  std::to_string(codec.height) + " pixels, wanted sides up to " +
                  std::to_string(kMaxSide) + "; scale it first");
}

FrameRate rate_of(const VideoInput& input) {
  const AVRational rate = av_guess_frame_rate(input.format.get(), input.stream, nullptr);
  if (rate.num <= 0 || rate.den <= 0) return {};
  return {.numerator = rate.num, .denominator = rate.den};
}

int orientation_of(const VideoInput& input) {
  std::array<int32_t, 9> matrix{};
  size_t size = 0;
  const uint8_t* data = av_stream_get_side_data(input.stream, AV_PKT_DATA_DISPLAYMATRIX, &size);
  if (!data || size < sizeof(matrix)) return 1;
  std::memcpy(matrix.data(), data, sizeof(matrix));
  const std::optional<int> orientation = matrix_orientation(matrix);
  if (orientation) return *orientation;
  throw DataError(quoted(input.path) +
                  ": to be shown turned by an angle that is no multiple of 90 degrees; turn it "
                  "with ffmpeg first");
}

[[noreturn]] void throw_too_few(const fs::path& path, int found, const VideoSlice& slice) {
  if (found == 0) throw DataError(quoted(path) + ": video without frames; wanted one or more");
  throw DataError(quoted(path) + ": holds " + std::to_string(found) + " frames, wanted " +
                  std::to_string(slice.count) + " from frame " + std::to_string(slice.from) +
                  " on; give a longer video, ask for fewer frames or begin earlier");
}

// Whether frames come at even distances. A tick of the clock and a tenth are rounding.
class Timing {
 public:
  void add(int64_t time) {
    if (time == AV_NOPTS_VALUE) return;
    if (previous_ != AV_NOPTS_VALUE) {
      shortest_ = distances_ == 0 ? time - previous_ : std::min(shortest_, time - previous_);
      longest_ = distances_ == 0 ? time - previous_ : std::max(longest_, time - previous_);
      ++distances_;
    }
    previous_ = time;
  }
  bool is_variable() const { return distances_ > 0 && longest_ - shortest_ > 1 + longest_ / 10; }
  int64_t shortest() const { return shortest_; }
  int64_t longest() const { return longest_; }

 private:
  int64_t previous_ = AV_NOPTS_VALUE;
  int distances_ = 0;
  int64_t shortest_ = 0;
  int64_t longest_ = 0;
};

void notice_variable_rate(const VideoInput& input, const Timing& timing, const Monitor& monitor) {
  if (!timing.is_variable()) return;
  const double tick = av_q2d(input.stream->time_base) * 1000;
  std::array<char, 64> range{};
  std::snprintf(range.data(), range.size(), "%.0f to %.0f ms",
                static_cast<double>(timing.shortest()) * tick,
                static_cast<double>(timing.longest()) * tick);
  monitor.notice(quoted(input.path) + ": variable frame rate (" + range.data() +
                 " from frame to frame): every frame is taken once, none repeated or left out");
}

void notice_picture(const VideoInput& input, AVFrame& first, const Monitor& monitor) {
  const std::string name = quoted(input.path) + ": ";
  const AVRational pixel = av_guess_sample_aspect_ratio(input.format.get(), input.stream, &first);
  if (pixel.num > 0 && pixel.num != pixel.den) {
    monitor.notice(name + "pixels are " + std::to_string(pixel.num) + ":" +
                   std::to_string(pixel.den) + ", not square: they are taken as they are stored");
  }
  if (first.color_trc == AVCOL_TRC_SMPTE2084 || first.color_trc == AVCOL_TRC_ARIB_STD_B67) {
    monitor.notice(name + "HDR video (" + av_color_transfer_name(first.color_trc) +
                   "): it is not tone-mapped and will look pale; convert it to BT.709 first");
  }
  const AVPixFmtDescriptor* format = av_pix_fmt_desc_get(static_cast<AVPixelFormat>(first.format));
  if ((format->flags & AV_PIX_FMT_FLAG_ALPHA) != 0 && (format->flags & AV_PIX_FMT_FLAG_PAL) == 0) {
    monitor.notice(name + "alpha is dropped, which leaves the colours stored beneath it");
  }
}

// Takes frames in order, each of the first one's size.
class Collector {
 public:
  Collector(const VideoSlice& slice, const Monitor& monitor) : slice_(slice), monitor_(monitor) {}

  void add(const Image& image) {
    if (frames_.count == 0) begin(image.size);
    if (slice_.resize) {
      append(resize(image.view(), *slice_.resize));
    } else {
      append(image);
    }
  }
  Frames take() { return std::move(frames_); }

 private:
  void begin(FrameSize source) {
    if (slice_.resize) notice_stretch(source, *slice_.resize, monitor_);
    frames_.size = slice_.resize ? slice_.resize->size : source;
    // Growing would hold two copies. No more for a count that may be a slip of the pen.
    constexpr size_t kMaxReserved = size_t{4} << 30;
    frames_.pixels.reserve(
        std::min(static_cast<size_t>(slice_.count) * frames_.size.bytes(), kMaxReserved));
  }
  void append(const Image& image) {
    frames_.pixels.insert(frames_.pixels.end(), image.pixels.begin(), image.pixels.end());
    ++frames_.count;
  }

  const VideoSlice& slice_;
  const Monitor& monitor_;
  Frames frames_;
};

void report(const Monitor& monitor, int64_t done, const VideoSlice& slice) {
  monitor.progress(
      {.stage = Stage::kLoad, .done = done, .total = int64_t{slice.from} + slice.count});
}

VideoFrames read_file_frames(const fs::path& path, const VideoSlice& slice,
                             const Monitor& monitor) {
  VideoInput input = open_regular(path);
  const int orientation = orientation_of(input);
  VideoDecoder decoder(input);
  Collector collector(slice, monitor);
  Timing timing;
  std::optional<RgbDecoder> converter;
  const libav::FramePtr frame = libav::make_frame();
  const int64_t end = int64_t{slice.from} + slice.count;
  for (int64_t i = 0; i < end; ++i) {
    report(monitor, i, slice);
    if (!decoder.next(*frame)) throw_too_few(path, decoder.decoded(), slice);
    if (i < slice.from) continue;
    timing.add(frame->best_effort_timestamp);
    if (!converter) {
      notice_picture(input, *frame, monitor);
      converter.emplace(*frame);
    }
    Image stored{.pixels = {}, .size = {.width = frame->width, .height = frame->height}};
    stored.pixels.resize(stored.size.bytes());
    converter->convert(*frame, stored.pixels.data());
    collector.add(upright(std::move(stored), orientation));
  }
  report(monitor, end, slice);
  notice_variable_rate(input, timing, monitor);
  return {.frames = collector.take(), .frame_rate = rate_of(input)};
}

VideoFrames read_folder_frames(const fs::path& path, const VideoSlice& slice,
                               const Monitor& monitor) {
  const int found = count_frame_files(path);
  const int64_t end = int64_t{slice.from} + slice.count;
  if (end > found) throw_too_few(path, found, slice);
  Collector collector(slice, monitor);
  std::set<std::string> noticed;
  std::optional<FrameSize> size;
  for (int i = slice.from; i < end; ++i) {
    report(monitor, i, slice);
    const fs::path file = frame_path(path, i);
    const DecodedImage decoded = decode_image(file);
    if (!size) size = decoded.image.size;
    if (!(decoded.image.size == *size)) {
      throw DataError(quoted(file) + ": " + std::to_string(decoded.image.size.width) + "x" +
                      std::to_string(decoded.image.size.height) + " pixels, wanted " +
                      std::to_string(size->width) + "x" + std::to_string(size->height) +
                      " as the first frame has; make all frames of one size");
    }
    for (const std::string& text : decoded.notices) {
      if (noticed.insert(text).second) monitor.notice(quoted(file) + ": " + text);
    }
    collector.add(decoded.image);
  }
  report(monitor, end, slice);
  return {.frames = collector.take(), .frame_rate = {}};
}

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

}  // namespace

VideoSource inspect_video(const fs::path& path) {
  if (is_folder(path)) {
    return {.size = read_image_size(frame_path(path, 0)),
            .frame_rate = {},
            .frame_count = count_frame_files(path)};
  }
  VideoInput input = open_regular(path);
  const FrameSize stored{.width = input.stream->codecpar->width,
                         .height = input.stream->codecpar->height};
  return {.size = upright_size(stored, orientation_of(input)),
          .frame_rate = rate_of(input),
          .frame_count = count_frames(input)};
}

VideoFrames read_video(const fs::path& path, const VideoSlice& slice, const Monitor& monitor) {
  if (slice.from < 0 || slice.count < 1) {
    throw UsageError(quoted(path) + ": " + std::to_string(slice.count) + " frames from frame " +
                     std::to_string(slice.from) +
                     ": wanted one or more, from frame 0 or a later one");
  }
  return is_folder(path) ? read_folder_frames(path, slice, monitor)
                         : read_file_frames(path, slice, monitor);
}

}  // namespace cogvx::io
