#include "io/side_by_side.h"

extern "C" {
#include <libavfilter/avfilter.h>
#include <libavfilter/buffersink.h>
#include <libavfilter/buffersrc.h>
}

#include <algorithm>
#include <cstring>
#include <new>
#include <string>
#include <utility>

#include "core/base/errors.h"
#include "io/even_size.h"
#include "io/libav.h"

namespace cogvx::io {
namespace {

struct GraphDeleter {
  void operator()(AVFilterGraph* graph) const { avfilter_graph_free(&graph); }
};

void check(int error, const std::string& problem) {
  if (error < 0) {
    throw OutputError("libavfilter cannot " + problem + ": " + libav::error_text(error) +
                      "; install a libavfilter with ffmpeg's usual filters");
  }
}

std::string input_name(size_t index) { return "buffer@" + std::to_string(index); }

// "buffer@1=..." without its output's label.
std::string input_text(size_t index, FrameSize size) {
  return input_name(index) + "=video_size=" + std::to_string(size.width) + "x" +
         std::to_string(size.height) + ":pix_fmt=rgb24:time_base=1/1:pixel_aspect=1/1";
}

// On planes of red, green and blue: in YUV a difference of nothing is not black, and `blend` takes
// no packed pixels.
std::string difference_text(int gain) {
  const std::string times = "val*" + std::to_string(gain);
  return "blend=all_mode=difference,lutrgb=r=" + times + ":g=" + times + ":b=" + times +
         ",format=rgb24";
}

constexpr const char* kOutput = "buffersink@out";

std::string difference_graph(FrameSize size, int gain) {
  return input_text(0, size) + ",format=gbrp[ref];" + input_text(1, size) +
         ",format=gbrp[test];[ref][test]" + difference_text(gain) + "," + kOutput;
}

// Labels: rN, pN are the reference's copies to show and to subtract, tN, qN the test's; dN is their
// difference, rowN a row.
std::string side_by_side_graph(FrameSize size, int tests, int gain) {
  std::string text = input_text(0, size) + ",split=" + std::to_string(2 * tests);
  std::string rows, stack;
  for (int i = 1; i <= tests; ++i) {
    const std::string n = std::to_string(i);
    text += "[r" + n + "][p" + n + "]";
    rows += ";" + input_text(static_cast<size_t>(i), size) + ",split[t" + n + "][q" + n + "]";
    rows += ";[p" + n + "]format=gbrp[pp" + n + "];[q" + n + "]format=gbrp[qq" + n + "]";
    rows += ";[pp" + n + "][qq" + n + "]" + difference_text(gain) + "[d" + n + "]";
    rows += ";[r" + n + "][t" + n + "][d" + n + "]hstack=inputs=3[row" + n + "]";
    stack += "[row" + n + "]";
  }
  // vstack refuses a single row.
  stack += tests > 1 ? "vstack=inputs=" + std::to_string(tests) : "null";
  return text + rows + ";" + stack + "," + kOutput;
}

void copy_rows(const uint8_t* source, ptrdiff_t source_stride, uint8_t* target,
               ptrdiff_t target_stride, FrameSize size) {
  const size_t row_bytes = size_t{3} * static_cast<size_t>(size.width);
  for (int y = 0; y < size.height; ++y) {
    std::memcpy(target + y * target_stride, source + y * source_stride, row_bytes);
  }
}

ptrdiff_t packed_stride(FrameSize size) { return ptrdiff_t{3} * size.width; }

}  // namespace

class PictureFilter::Graph {
 public:
  Graph(const std::string& text, size_t inputs);
  void push(size_t input, ImageView picture);
  // The picture of what was pushed last.
  void pull(Image& picture);

 private:
  AVFilterContext& filter(const std::string& name) const;

  std::unique_ptr<AVFilterGraph, GraphDeleter> graph_;
  std::vector<AVFilterContext*> inputs_;
  AVFilterContext* output_ = nullptr;
  std::vector<int64_t> next_;  // of each input
  libav::FramePtr made_ = libav::make_frame();
};

PictureFilter::Graph::Graph(const std::string& text, size_t inputs) : next_(inputs) {
  libav::silence_log();
  graph_.reset(avfilter_graph_alloc());
  if (!graph_) throw std::bad_alloc();
  graph_->nb_threads = 1;
  AVFilterInOut *open_inputs = nullptr, *open_outputs = nullptr;
  const int parsed = avfilter_graph_parse2(graph_.get(), text.c_str(), &open_inputs, &open_outputs);
  avfilter_inout_free(&open_inputs);
  avfilter_inout_free(&open_outputs);
  check(parsed, "make the filters " + text);
  check(avfilter_graph_config(graph_.get(), nullptr), "connect the filters " + text);
  for (size_t i = 0; i < inputs; ++i) inputs_.push_back(&filter(input_name(i)));
  output_ = &filter(kOutput);
}

AVFilterContext& PictureFilter::Graph::filter(const std::string& name) const {
  AVFilterContext* const found = avfilter_graph_get_filter(graph_.get(), name.c_str());
  if (!found) throw OutputError("libavfilter does not find its filter " + name);
  return *found;
}

void PictureFilter::Graph::push(size_t input, ImageView picture) {
  const FrameSize size = picture.size;
  const libav::FramePtr frame = libav::make_frame(size.width, size.height, AV_PIX_FMT_RGB24);
  copy_rows(picture.pixels, packed_stride(size), frame->data[0], frame->linesize[0], size);
  frame->sample_aspect_ratio = {1, 1};
  frame->pts = next_[input]++;
  check(av_buffersrc_add_frame(inputs_[input], frame.get()), "take a picture");
}

void PictureFilter::Graph::pull(Image& picture) {
  check(av_buffersink_get_frame(output_, made_.get()), "make a picture");
  const AVFrame& made = *made_;
  if (made.format != AV_PIX_FMT_RGB24 || made.width != picture.size.width ||
      made.height != picture.size.height) {
    throw OutputError("libavfilter made a picture of another size or format than asked for");
  }
  copy_rows(made.data[0], made.linesize[0], picture.pixels.data(), packed_stride(picture.size),
            picture.size);
  av_frame_unref(made_.get());
}

PictureFilter::PictureFilter(std::unique_ptr<Graph> graph, FrameSize output)
    : graph_(std::move(graph)),
      output_{.pixels = std::vector<uint8_t>(output.bytes()), .size = output} {}
PictureFilter::~PictureFilter() = default;
PictureFilter::PictureFilter(PictureFilter&&) noexcept = default;
PictureFilter& PictureFilter::operator=(PictureFilter&&) noexcept = default;

PictureFilter PictureFilter::amplified_difference(FrameSize size, int gain) {
  return {std::make_unique<Graph>(difference_graph(size, gain), /*inputs=*/2), size};
}

PictureFilter PictureFilter::side_by_side(FrameSize size, int tests, int gain) {
  return {std::make_unique<Graph>(side_by_side_graph(size, tests, gain),
                                  static_cast<size_t>(tests) + 1),
          FrameSize{.width = 3 * size.width, .height = tests * size.height}};
}

ImageView PictureFilter::run(std::span<const ImageView> pictures) {
  for (size_t i = 0; i < pictures.size(); ++i) graph_->push(i, pictures[i]);
  graph_->pull(output_);
  return output_.view();
}

AtomicFile encode_side_by_side(const std::filesystem::path& path, const SideBySideVideo& video,
                               const VideoSettings& settings) {
  PictureFilter filter = PictureFilter::side_by_side(
      video.reference.size, static_cast<int>(video.tests.size()), video.gain);
  std::vector<ImageView> pictures(video.tests.size() + 1);
  Image whole = video.header;
  whole.size = {.width = filter.size().width,
                .height = video.header.size.height + filter.size().height};
  whole.pixels.resize(whole.size.bytes());
  const auto frame = [&](int index) {
    pictures[0] = video.reference[index];
    for (size_t i = 0; i < video.tests.size(); ++i) pictures[i + 1] = video.tests[i][index];
    std::ranges::copy_n(filter.run(pictures).pixels, static_cast<ptrdiff_t>(filter.size().bytes()),
                        whole.pixels.begin() + static_cast<ptrdiff_t>(video.header.pixels.size()));
    return whole.view();
  };
  return encode_video(
      path, with_even_size({.count = video.reference.count, .size = whole.size, .frame = frame}),
      settings);
}

}  // namespace cogvx::io
