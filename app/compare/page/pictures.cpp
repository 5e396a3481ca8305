#include "app/compare/page/pictures.h"

#include <utility>

#include "io/side_by_side.h"

namespace cogvx::app {

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

// What stands where is said in the file, as a player shows it: no font can be relied on.
io::AtomicFile Pictures::side_by_side() const {
  std::string rows;
  std::vector<io::FramesView> tests;
  for (size_t i = 0; i < tests_.size(); ++i) {
    tests.push_back(tests_[i].view());
    rows += (i > 0 ? ", " : "") + names_[i];
  }
  const std::string comment = "columns: " + reference_.video.name + ", TEST, |TEST - REF| times " +
                              std::to_string(gain_) + "; rows: " + rows;
  return io::encode_side_by_side(
      files_.side_by_side, reference_.frames, tests, gain_,
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
