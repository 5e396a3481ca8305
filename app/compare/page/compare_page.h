#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "app/compare/page/page_parts.h"
#include "io/frames.h"

namespace cogvx::app {

// Of videos that do not say theirs, such as a folder of frames.
inline constexpr io::FrameRate kUsualFrameRate{.numerator = 8, .denominator = 1};

// A power of two, 1 to 64: the largest that keeps the mean of the worst frame's difference, times
// it, within a quarter of the scale. So a small difference is seen, and a large one not all white.
int difference_gain(const VideoDistance& distance);

// One self-contained HTML file for eyes: the videos as H.264 copies that run in step, their
// amplified differences, the numbers and what made each. Holds the copies, not the frames.
class ComparePage {
 public:
  struct Reference {
    PageVideo video;
    io::FramesView frames;  // needed until the last `add`
    io::FrameRate frame_rate;
  };

  // OutputError, UsageError.
  ComparePage(std::filesystem::path path, Reference reference);
  // `frames` has the reference's size and length, and is not needed afterwards. OutputError.
  void add(PageResult result, const io::FramesView& frames);
  // Puts the page in place, in one step; wants one TEST or more. OutputError.
  void commit() const;

 private:
  struct Copies {
    std::string test, difference;
    int gain = 1;
  };

  std::string copy_of(const io::FrameSource& frames) const;
  std::string html_text() const;

  std::filesystem::path path_;
  Reference reference_;
  std::string reference_copy_;
  std::vector<PageResult> results_;
  std::vector<Copies> copies_;  // of each result
};

}  // namespace cogvx::app
