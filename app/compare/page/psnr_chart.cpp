#include "app/compare/page/psnr_chart.h"

#include <algorithm>
#include <cmath>

#include "app/compare/number_text.h"

namespace cogvx::app {
namespace {

// In units of the SVG, which the page scales.
constexpr double kWidth = 960, kHeight = 280;
constexpr double kLeft = 76, kRight = 940, kTop = 54, kBottom = 240, kIdentical = 24;

// Decibels of the lower and upper end, both on a tick.
struct Scale {
  double low = 0;
  double high = 0;
  double step = 1;

  double y(double decibels) const {
    return kBottom - (decibels - low) / (high - low) * (kBottom - kTop);
  }
};

// 1, 2 or 5 times a power of ten, so that `range` has about `wanted` of it.
double tick_step(double range, double wanted) {
  const double power = std::pow(10, std::floor(std::log10(range / wanted)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (range / (factor * power) <= wanted) return factor * power;
  }
  return 10 * power;
}

// Of the frames that differ; false where none does.
bool scale_of(const std::vector<PageResult>& results, Scale& scale) {
  double low = INFINITY, high = -INFINITY;
  for (const PageResult& result : results) {
    for (const FrameDistance& frame : result.distance.frames) {
      if (frame.mse == 0) continue;
      low = std::min(low, psnr_of(frame.mse));
      high = std::max(high, psnr_of(frame.mse));
    }
  }
  if (low > high) return false;
  scale.step = std::max(1.0, tick_step(high - low + 1, /*wanted=*/5));
  scale.low = std::floor(low / scale.step) * scale.step;
  scale.high = std::ceil(high / scale.step) * scale.step;
  if (scale.high == scale.low) scale.high += scale.step;
  return true;
}

double x_of(size_t frame, size_t count) {
  if (count == 1) return (kLeft + kRight) / 2;
  return kLeft + (kRight - kLeft) * static_cast<double>(frame) / static_cast<double>(count - 1);
}

std::string text(double x, double y, const char* anchor, const std::string& words) {
  return "<text x=\"" + number_text("%.1f", x) + "\" y=\"" + number_text("%.1f", y) +
         "\" text-anchor=\"" + anchor + "\">" + words + "</text>";
}

std::string grid_line(double y) {
  return "<line class=\"grid\" x1=\"" + number_text("%.0f", kLeft) + "\" x2=\"" +
         number_text("%.0f", kRight) + "\" y1=\"" + number_text("%.1f", y) + "\" y2=\"" +
         number_text("%.1f", y) + "\"/>";
}

std::string axes(const Scale* scale, size_t count) {
  std::string svg = grid_line(kIdentical) + text(kLeft - 8, kIdentical + 4, "end", "identical");
  if (scale) {
    for (double at = scale->low; at <= scale->high + scale->step / 2; at += scale->step) {
      svg += grid_line(scale->y(at));
      svg += text(kLeft - 8, scale->y(at) + 4, "end", number_text("%.0f", at) + " dB");
    }
  } else {
    svg += grid_line(kBottom);
  }
  const double last = static_cast<double>(count - 1);
  const auto step = static_cast<size_t>(std::max(1.0, tick_step(last + 1, /*wanted=*/12)));
  for (size_t frame = 0; frame < count; frame += step)
    svg += text(x_of(frame, count), kBottom + 20, "middle", std::to_string(frame));
  return svg + text((kLeft + kRight) / 2, kHeight - 2, "middle", "frame");
}

std::string line(const VideoDistance& distance, const Scale& scale, size_t index) {
  const size_t count = distance.frames.size();
  std::string points;
  for (size_t frame = 0; frame < count; ++frame) {
    const double mse = distance.frames[frame].mse;
    const double y = mse == 0 ? kIdentical : scale.y(psnr_of(mse));
    points += number_text("%.1f", x_of(frame, count)) + "," + number_text("%.1f", y) + " ";
  }
  // A line of one point is drawn by its round ends.
  if (count == 1) points += points;
  points.pop_back();
  const std::string style = "test colour-" + std::to_string(index % 8);
  return "<polyline class=\"" + style + "\" points=\"" + points + "\"/>";
}

}  // namespace

std::string psnr_chart_svg(const std::vector<PageResult>& results) {
  const size_t count = results.front().distance.frames.size();
  Scale scale{.low = 0, .high = 1};
  const bool some_differ = scale_of(results, scale);
  std::string svg = "<svg class=\"chart\" viewBox=\"0 0 " + number_text("%.0f", kWidth) + " " +
                    number_text("%.0f", kHeight) +
                    "\" role=\"img\" aria-label=\"PSNR of every frame\" data-left=\"" +
                    number_text("%.0f", kLeft) + "\" data-right=\"" + number_text("%.0f", kRight) +
                    "\">\n" + axes(some_differ ? &scale : nullptr, count) + "\n";
  svg += "<line class=\"mark\" y1=\"" + number_text("%.0f", kIdentical - 12) + "\" y2=\"" +
         number_text("%.0f", kBottom) + "\"/>\n";
  for (size_t i = 0; i < results.size(); ++i) svg += line(results[i].distance, scale, i) + "\n";
  for (size_t i = 0; i < results.size(); ++i)
    svg += "<circle class=\"dot colour-" + std::to_string(i % 8) + "\" r=\"5\"/>";
  return svg + "\n</svg>";
}

}  // namespace cogvx::app
