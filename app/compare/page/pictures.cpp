#include "app/compare/page/pictures.h"

#include <utility>

#include "core/base/errors.h"
#include "io/messages.h"
#include "io/side_by_side.h"

namespace cogvx::app {

void check_pictures(const PictureFiles& files) {
  if (!files.html.empty()) io::check_writable(files.html, files.overwrite);
  if (files.side_by_side.empty()) return;
  const std::filesystem::path path = files.side_by_side;
  if (io::lower_case(path.extension().string()) != ".mp4") {
    throw UsageError("--side-by-side " + io::quoted(path) +
                     " does not end in .mp4; it is an H.264 video in MP4, so name it so");
  }
  io::check_writable(path, files.overwrite);
}

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
