#include "app/compare/heatmap.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "app/compare/canvas.h"
#include "app/compare/number_text.h"

namespace cogvx::app {
namespace {

constexpr Colour kPaper = {255, 255, 255};
constexpr Colour kInk = {20, 20, 20};
constexpr int kMargin = 16;
constexpr int kGap = 8;
constexpr int kLine = kTextHeight + kGap;
constexpr int kBarWidth = 16;
constexpr int kNumberWidth = 80;
constexpr int kLeastPanel = 360;  // pixels, so that small videos can be seen

void add_difference(io::ImageView a, io::ImageView b, std::vector<float>& sum_YX) {
  for (size_t i = 0; i < sum_YX.size(); ++i) {
    int sum = 0;
    for (size_t byte = 3 * i; byte < 3 * i + 3; ++byte)
      sum += std::abs(a.pixels[byte] - b.pixels[byte]);
    sum_YX[i] += static_cast<float>(sum);
  }
}

void scale(std::vector<float>& values, float factor) {
  for (float& value : values) value *= factor;
}

// Where everything is; all panels have one size.
struct Layout {
  int zoom = 1;  // pixels of the picture per pixel of the video, on a side
  io::FrameSize panel;
  int rows = 1;

  int column_width() const { return panel.width + kGap + kBarWidth + kGap + kNumberWidth; }
  int row_height() const { return 2 * kLine + panel.height + kMargin; }
  int left(int column) const { return kMargin + column * (column_width() + kMargin); }
  int top(int row) const { return kMargin + kLine + row * row_height(); }
  io::FrameSize whole() const { return {left(2), top(rows) + kLine}; }
};

Layout layout_of(io::FrameSize size, size_t rows) {
  const int zoom = std::max(1, (kLeastPanel + size.width - 1) / size.width);
  return {.zoom = zoom,
          .panel = {size.width * zoom, size.height * zoom},
          .rows = static_cast<int>(rows)};
}

// The least of 1, 2, 5, 10, ... times a power of ten that holds all values.
double scale_end(double largest) {
  if (largest <= 0) return 1;
  const double power = std::pow(10, std::floor(std::log10(largest)));
  for (const double step : {1.0, 2.0, 5.0}) {
    if (step * power >= largest) return step * power;
  }
  return 10 * power;
}

double largest_of(const std::vector<Heat>& heats, std::vector<float> Heat::*values_YX) {
  float largest = 0;
  for (const Heat& heat : heats)
    largest =
        std::max(largest, *std::max_element((heat.*values_YX).begin(), (heat.*values_YX).end()));
  return largest;
}

// What all panels of a picture are drawn with.
struct Drawing {
  Canvas canvas;
  ColourMap colours{};
  Layout layout;
};

void draw_scale(Drawing& drawing, Point at, double end) {
  Canvas& canvas = drawing.canvas;
  const int height = drawing.layout.panel.height;
  for (int y = 0; y < height; ++y) {
    const double value = 1 - static_cast<double>(y) / std::max(height - 1, 1);
    canvas.fill({at.x, at.y + y}, {kBarWidth, 1}, drawing.colours(value));
  }
  for (const double part : {0.0, 0.5, 1.0}) {
    if (part == 0.5 && height < 3 * kTextHeight) continue;  // no room
    const int y = at.y + static_cast<int>(std::lround((1 - part) * (height - 1)));
    canvas.fill({at.x + kBarWidth, y}, {kGap / 2, 1}, kInk);
    const int lowest = std::max(at.y, at.y + height - kTextHeight);
    const int text_y = std::clamp(y - kTextHeight / 2, at.y, lowest);
    canvas.text({at.x + kBarWidth + kGap, text_y}, number_text("%.4g", part * end), kInk);
  }
}

struct Panel {
  const std::vector<float>& values_YX;
  io::FrameSize size;
  double end;  // of its scale
  std::string title;
};

void draw_panel(Drawing& drawing, Point at, const Panel& panel) {
  const Layout& layout = drawing.layout;
  drawing.canvas.text(at, fitted(panel.title, layout.column_width()), kInk);
  at.y += kLine;
  for (int y = 0; y < panel.size.height; ++y) {
    for (int x = 0; x < panel.size.width; ++x) {
      const float value = panel.values_YX[static_cast<size_t>(y) * panel.size.width + x];
      drawing.canvas.fill({at.x + x * layout.zoom, at.y + y * layout.zoom},
                          {layout.zoom, layout.zoom}, drawing.colours(value / panel.end));
    }
  }
  draw_scale(drawing, {at.x + layout.panel.width + kGap, at.y}, panel.end);
}

std::string worst_title(const Heat& heat) {
  const bool alike = *std::max_element(heat.worst_YX.begin(), heat.worst_YX.end()) == 0;
  return alike ? "no frame differs" : "worst frame: " + std::to_string(heat.worst_frame);
}

}  // namespace

Heat heat_of(const HeatSource& source) {
  const io::FrameSize size = source.reference.size;
  const size_t pixels = static_cast<size_t>(size.width) * static_cast<size_t>(size.height);
  Heat heat{.name = source.name,
            .size = size,
            .frames = source.reference.count,
            .worst_frame = source.worst_frame,
            .mean_YX = std::vector<float>(pixels),
            .worst_YX = std::vector<float>(pixels)};
  for (int i = 0; i < heat.frames; ++i)
    add_difference(source.reference[i], source.test[i], heat.mean_YX);
  const int worst = static_cast<int>(source.worst_frame);
  add_difference(source.reference[worst], source.test[worst], heat.worst_YX);
  scale(heat.mean_YX, 1.0F / (3.0F * static_cast<float>(heat.frames)));
  scale(heat.worst_YX, 1.0F / 3.0F);
  return heat;
}

io::Image draw_heatmap(const std::vector<Heat>& heats, const std::string& reference) {
  const Layout layout = layout_of(heats.front().size, heats.size());
  const int width = layout.whole().width - 2 * kMargin;
  const double mean_end = scale_end(largest_of(heats, &Heat::mean_YX));
  const double worst_end = scale_end(largest_of(heats, &Heat::worst_YX));
  Drawing drawing{.canvas = Canvas(layout.whole(), kPaper), .layout = layout};
  Canvas& canvas = drawing.canvas;
  canvas.text({kMargin, kMargin}, fitted("difference from " + reference, width), kInk);
  for (int row = 0; row < layout.rows; ++row) {
    const Heat& heat = heats[static_cast<size_t>(row)];
    const int top = layout.top(row);
    canvas.text({kMargin, top}, fitted(heat.name, width), kInk);
    draw_panel(drawing, {layout.left(0), top + kLine},
               {.values_YX = heat.mean_YX,
                .size = heat.size,
                .end = mean_end,
                .title = "mean of " + std::to_string(heat.frames) + " frames"});
    draw_panel(drawing, {layout.left(1), top + kLine},
               {.values_YX = heat.worst_YX,
                .size = heat.size,
                .end = worst_end,
                .title = worst_title(heat)});
  }
  canvas.text({kMargin, layout.top(layout.rows)},
              fitted("absolute difference of a byte (0 to 255), mean of red, green, blue", width),
              kInk);
  return canvas.take();
}

}  // namespace cogvx::app
