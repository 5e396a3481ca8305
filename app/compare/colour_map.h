#pragma once

#include <array>
#include <cstdint>

namespace cogvx::app {

using Colour = std::array<uint8_t, 3>;  // red, green, blue

// From nearly black over violet, red and orange to a light yellow: the eye sees equal steps of the
// value as equal steps of lightness (Björn Ottosson's OKLab, 2020), in grey too.
class ColourMap {
 public:
  ColourMap();
  Colour operator()(double value) const;  // 0 to 1; what lies outside is cut

 private:
  std::array<Colour, 256> colours_;
};

}  // namespace cogvx::app
