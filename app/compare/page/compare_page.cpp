#include "app/compare/page/compare_page.h"

#include <algorithm>
#include <array>
#include <utility>

#include "app/compare/page/html_text.h"
#include "app/compare/page/psnr_chart.h"
#include "app/page_data.h"
#include "core/base/read_file.h"
#include "io/base64.h"
#include "io/even_size.h"
#include "io/side_by_side.h"

namespace cogvx::app {
namespace {

constexpr int kCopyCrf = 17;
// Between two a browser decodes at most that many frames to show the one that was asked for.
constexpr int kKeyFrameInterval = 8;

io::FrameSource source_of(const io::FramesView& frames) {
  return {.count = frames.count, .size = frames.size, .frame = [frames](int index) {
            return frames[index];
          }};
}

std::string video_html(const std::string& copy, const std::string& label) {
  return "<div class=\"picture\"><video muted playsinline preload=\"auto\" aria-label=\"" + label +
         "\" src=\"data:video/mp4;base64," + copy + "\"></video></div>";
}

std::string figure_html(const char* kind, const std::string& video, const std::string& caption) {
  return std::string("<figure class=\"") + kind + "\">" + video + "<figcaption>" + caption +
         "</figcaption></figure>\n";
}

std::string caption(const std::string& label, const std::string& name) {
  return "<strong>" + label + "</strong> " + html_piece(name);
}

std::string gain_text(int gain) { return "&times;" + std::to_string(gain); }

std::string summary(const std::vector<PageResult>& results) {
  const auto same = std::ranges::count_if(
      results, [](const PageResult& result) { return is_same(result.distance); });
  const auto all = std::ssize(results);
  if (all == 1) return same == 1 ? "Identical videos" : "The videos differ";
  if (same == all) return "All " + std::to_string(all) + " are identical to REF";
  return std::to_string(all - same) + " of " + std::to_string(all) +
         (all - same == 1 ? " differs from REF" : " differ from REF");
}

}  // namespace

int difference_gain(const VideoDistance& distance) {
  constexpr double kSeen = 64;  // of 255
  constexpr int kMostGain = 64;
  double worst = 0;
  for (const FrameDistance& frame : distance.frames) worst = std::max(worst, frame.mean_abs);
  int gain = kMostGain;
  while (gain > 1 && worst * gain > kSeen) gain /= 2;
  return gain;
}

ComparePage::ComparePage(std::filesystem::path path, Reference reference)
    : path_(std::move(path)), reference_(std::move(reference)) {
  reference_copy_ = copy_of(source_of(reference_.frames));
}

// In a file beside the page that never gets a name.
std::string ComparePage::copy_of(const io::FrameSource& frames) const {
  std::filesystem::path unnamed = path_;
  unnamed += ".copy.mp4";
  const io::AtomicFile file = io::encode_video(unnamed, io::with_even_size(frames),
                                               {.frame_rate = reference_.frame_rate,
                                                .crf = kCopyCrf,
                                                .key_frame_interval = kKeyFrameInterval});
  return io::base64(read_file(file.temporary_path(), /*max_bytes=*/SIZE_MAX));
}

void ComparePage::add(PageResult result, const io::FramesView& frames) {
  const int gain = difference_gain(result.distance);
  io::PictureFilter difference =
      io::PictureFilter::amplified_difference(reference_.frames.size, gain);
  const io::FrameSource amplified{.count = frames.count, .size = frames.size, .frame = [&](int i) {
                                    const std::array pictures{reference_.frames[i], frames[i]};
                                    return difference.run(pictures);
                                  }};
  copies_.push_back(
      {.test = copy_of(source_of(frames)), .difference = copy_of(amplified), .gain = gain});
  results_.push_back(std::move(result));
}

std::string ComparePage::html_text() const {
  std::string players = figure_html("reference", video_html(reference_copy_, "REF"),
                                    caption("REF", reference_.video.name));
  for (size_t i = 0; i < results_.size(); ++i) {
    const std::string label = test_label(i, results_.size());
    const Copies& copies = copies_[i];
    players +=
        figure_html("test", video_html(copies.test, label), caption(label, results_[i].video.name));
    players += figure_html(
        "difference", video_html(copies.difference, "difference of " + label),
        "<strong>difference " + gain_text(copies.gain) + "</strong> |" + label + " &minus; REF|");
  }
  const io::FrameSize size = reference_.frames.size;
  const io::FrameRate rate = reference_.frame_rate;
  const std::string last = std::to_string(reference_.frames.count - 1);
  return fill_template(
      kPageHtml,
      {{"style", kPageCss},
       {"script", kPageJs},
       {"summary", summary(results_)},
       {"reference", html_piece(reference_.video.name)},
       {"title", html(reference_.video.name)},
       {"video", std::to_string(reference_.frames.count) + " frames of " +
                     std::to_string(size.width) + "&times;" + std::to_string(size.height)},
       {"verdicts", verdicts_html(results_)},
       {"width", std::to_string(size.width)},
       {"height", std::to_string(size.height)},
       {"coded_width", std::to_string(size.width + size.width % 2)},
       {"coded_height", std::to_string(size.height + size.height % 2)},
       {"rate", std::to_string(rate.numerator) + "/" + std::to_string(rate.denominator)},
       {"last", last},
       {"tests", std::to_string(results_.size())},
       {"layout", results_.size() == 1 ? "one" : "several"},
       {"players", players},
       {"numbers", numbers_html(results_)},
       {"chart", psnr_chart_svg(results_)},
       {"legend", legend_html(results_)},
       {"records", records_html(reference_.video.record, results_)},
       {"crf", std::to_string(kCopyCrf)}});
}

void ComparePage::commit() const { io::write_text_file(path_, html_text()); }

}  // namespace cogvx::app
