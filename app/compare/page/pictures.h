#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/compare/page/compare_page.h"
#include "io/atomic_file.h"
#include "io/frames.h"

namespace cogvx::app {

// What cogvx-compare draws of videos; an empty path is not asked for.
struct PictureFiles {
  std::string html;
  std::string side_by_side;  // .mp4

  bool any() const { return !html.empty() || !side_by_side.empty(); }
};

// Draws them, a TEST at a time. The reference's frames are needed until `commit`.
class Pictures {
 public:
  Pictures(PictureFiles files, const ComparePage::Reference& reference);
  // Keeps `frames` for --side-by-side alone, which goes through all videos together.
  void add(PageResult result, io::Frames frames);
  // Puts the files in place; none where no TEST was added.
  void commit();

 private:
  io::AtomicFile side_by_side() const;

  PictureFiles files_;
  ComparePage::Reference reference_;
  std::optional<ComparePage> page_;
  std::vector<std::string> names_;
  std::vector<io::Frames> tests_;
  int gain_ = 0;  // that of the TEST with the largest difference
};

}  // namespace cogvx::app
