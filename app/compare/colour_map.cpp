#include "app/compare/colour_map.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>

namespace cogvx::app {
namespace {

constexpr double kDarkest = 0.12;
constexpr double kLightest = 0.96;
constexpr double kFirstHue = 285;  // degrees: violet
constexpr double kLastHue = 465;   // yellow, once around
constexpr double kMostChroma = 0.22;

// Of a colour that a screen can show.
std::optional<std::array<double, 3>> linear_rgb(double lightness, double a, double b) {
  const double l = std::pow(lightness + 0.3963377774 * a + 0.2158037573 * b, 3);
  const double m = std::pow(lightness - 0.1055613458 * a - 0.0638541728 * b, 3);
  const double s = std::pow(lightness - 0.0894841775 * a - 1.2914855480 * b, 3);
  const std::array<double, 3> rgb = {4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
                                     -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
                                     -0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s};
  for (const double part : rgb) {
    if (part < 0 || part > 1) return std::nullopt;
  }
  return rgb;
}

uint8_t byte_of(double linear) {
  const double encoded =
      linear <= 0.0031308 ? 12.92 * linear : 1.055 * std::pow(linear, 1 / 2.4) - 0.055;
  return static_cast<uint8_t>(std::lround(255 * encoded));
}

Colour colour_at(double t) {
  const double lightness = kDarkest + (kLightest - kDarkest) * t;
  const double hue = (kFirstHue + (kLastHue - kFirstHue) * t) * std::numbers::pi / 180;
  // As strong as the hue can be at this lightness; grey can always be shown.
  for (double chroma = kMostChroma; chroma > 0; chroma -= 0.005) {
    const auto rgb = linear_rgb(lightness, chroma * std::cos(hue), chroma * std::sin(hue));
    if (rgb) return {byte_of((*rgb)[0]), byte_of((*rgb)[1]), byte_of((*rgb)[2])};
  }
  const uint8_t grey = byte_of(std::pow(lightness, 3));
  return {grey, grey, grey};
}

}  // namespace

ColourMap::ColourMap() {
  for (size_t i = 0; i < colours_.size(); ++i)
    colours_[i] = colour_at(static_cast<double>(i) / static_cast<double>(colours_.size() - 1));
}

Colour ColourMap::operator()(double value) const {
  const double last = static_cast<double>(colours_.size() - 1);
  return colours_[static_cast<size_t>(std::lround(std::clamp(value, 0.0, 1.0) * last))];
}

}  // namespace cogvx::app
