#include "app/compare/page/pictures.h"

#include <utility>

#include "app/compare/canvas.h"
#include "io/side_by_side.h"

namespace cogvx::app {
namespace {

constexpr Colour kPaper = {255, 255, 255};
constexpr Colour kInk = {20, 20, 20};

// One over each column; a title that is wider than its column is left out.
io::Image column_titles(int column_width, int gain) {
  const std::string times = "x" + std::to_string(gain);
  const std::string difference = "difference " + times;
  const bool fits = text_width(difference) + 4 <= column_width;
  Canvas canvas({.width = 3 * column_width, .height = kTextHeight + 2}, kPaper);
  int left = 0;
  for (const std::string& title :
       {std::string("REF"), std::string("TEST"), fits ? difference : times}) {
    if (text_width(title) + 4 <= column_width) canvas.text({left + 4, 3}, title, kInk);
    left += column_width;
  }
  return canvas.take();
}

}  // namespace

Pictures::Pictures(PictureFiles files, const ComparePage::Reference& reference)
    : files_(std::move(files)), reference_(reference) {
  if (reference_.frame_rate.numerator <= 0) reference_.frame_rate = kUsualFrameRate;
  if (!files_.html.empty()) page_.emplace(files_.html, reference_);
}

void Pictures::add(PageResult result, io::Frames frames) {
  const int gain = difference_gain(result.distance);
  if (names_.empty() || gain < gain_) gain_ = gain;
  names_.push_back(result.video.name);
  if (page_) page_->add(std::move(result), frames.view());
  if (!files_.side_by_side.empty()) tests_.push_back(std::move(frames));
}

io::AtomicFile Pictures::side_by_side() const {
  std::string rows;
  io::SideBySideVideo video{.reference = reference_.frames, .tests = {}, .gain = gain_};
  for (size_t i = 0; i < tests_.size(); ++i) {
    video.tests.push_back(tests_[i].view());
    rows += (i > 0 ? ", " : "") + names_[i];
  }
  video.header = column_titles(reference_.frames.size.width, gain_);
  // The whole names, for players that show it.
  const std::string comment = "columns: " + reference_.video.name + ", TEST, |TEST - REF| times " +
                              std::to_string(gain_) + "; rows: " + rows;
  return io::encode_side_by_side(
      files_.side_by_side, video,
      {.frame_rate = reference_.frame_rate, .metadata = {{"comment", comment}}});
}

void Pictures::commit() {
  if (names_.empty()) return;
  std::optional<io::AtomicFile> video;
  if (!files_.side_by_side.empty()) video = side_by_side();
  if (page_) page_->commit();
  if (video) video->commit();
}

}  // namespace cogvx::app
