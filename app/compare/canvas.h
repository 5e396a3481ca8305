#pragma once

#include <string>

#include "app/compare/colour_map.h"
#include "io/frames.h"

namespace cogvx::app {

struct Point {
  int x = 0;
  int y = 0;
};

// A picture to draw on; what lies outside of it is left out.
class Canvas {
 public:
  Canvas(io::FrameSize size, Colour background);

  void set(Point at, Colour colour);
  void fill(Point at, io::FrameSize size, Colour colour);
  // Letters of 5x7 dots, `kTextScale` pixels each, from the upper left corner on. What is not in
  // the font (ASCII letters, digits, some signs) is a box.
  void text(Point at, const std::string& words, Colour colour);
  io::Image take() { return std::move(image_); }

 private:
  io::Image image_;
};

inline constexpr int kTextScale = 2;
inline constexpr int kTextHeight = 9 * kTextScale;
int text_width(const std::string& words);
// The end of the words, after "...", where they are wider than `width` pixels.
std::string fitted(const std::string& words, int width);

}  // namespace cogvx::app
