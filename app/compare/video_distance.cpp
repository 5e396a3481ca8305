#include "app/compare/video_distance.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <numeric>

#include "app/compare/worst.h"
#include "app/engine.h"
#include "core/base/thread_pool.h"

namespace cogvx::app {
namespace {

constexpr int kRadius = 5;  // of scikit-image's window: int(truncate 3.5 * sigma 1.5 + 0.5)
constexpr int kWindow = 2 * kRadius + 1;
constexpr double kSigma = 1.5;
constexpr double kC1 = (0.01 * 255) * (0.01 * 255);
constexpr double kC2 = (0.03 * 255) * (0.03 * 255);

std::array<double, kWindow> gaussian() {
  std::array<double, kWindow> weights{};
  for (int i = 0; i < kWindow; ++i)
    weights[i] = std::exp(-0.5 * (i - kRadius) * (i - kRadius) / (kSigma * kSigma));
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  for (double& weight : weights) weight /= sum;
  return weights;
}

// d c b a | a b c d | d c b a
int mirrored(int i, int size) {
  const int at = ((i % (2 * size)) + 2 * size) % (2 * size);
  return at < size ? at : 2 * size - 1 - at;
}

// What SSIM is made of, for the bytes of a row: the planes need not be told apart, since a window's
// next column is three bytes away. The variances of x and y are only wanted as a sum.
struct Moments {
  explicit Moments(size_t bytes) : x(bytes), y(bytes), squares(bytes), product(bytes) {}
  std::vector<double> x;
  std::vector<double> y;
  std::vector<double> squares;  // x*x + y*y
  std::vector<double> product;  // x*y

  std::array<std::vector<double>*, 4> all() { return {&x, &y, &squares, &product}; }
};

// Mean over the places where the window lies inside the picture. Along a side shorter than the
// window, which scikit-image refuses, the picture goes on mirrored.
class Ssim {
 public:
  Ssim(io::ImageView reference, io::ImageView test)
      : reference_(reference),
        test_(test),
        pad_x_(reference.size.width < kWindow ? kRadius : 0),
        pad_y_(reference.size.height < kWindow ? kRadius : 0),
        rows_(kWindow, Moments(size_t{3} * columns())),
        blurred_(size_t{3} * columns()),
        local_(size_t{3} * columns()) {}

  double mean() {
    const int first = kRadius - pad_y_;
    const int end = reference_.size.height - first;
    double sum = 0;
    for (int y = first - kRadius; y < first + kRadius; ++y) load_row(y);
    for (int y = first; y < end; ++y) {
      load_row(y + kRadius);
      blur_columns(y);
      sum += row_sum();
    }
    return sum / (3.0 * (end - first) * (columns() - 2 * kRadius));
  }

 private:
  int columns() const { return reference_.size.width + 2 * pad_x_; }
  Moments& row(int y) { return rows_[static_cast<size_t>(y + kWindow) % kWindow]; }

  void load_row(int y) {
    const int width = reference_.size.width;
    const size_t begin = size_t{3} * width * mirrored(y, reference_.size.height);
    Moments& row = this->row(y);
    for (int column = 0; column < columns(); ++column) {
      const size_t from = begin + size_t{3} * mirrored(column - pad_x_, width);
      for (size_t colour = 0; colour < 3; ++colour) {
        const size_t to = size_t{3} * column + colour;
        const double a = reference_.pixels[from + colour];
        const double b = test_.pixels[from + colour];
        row.x[to] = a;
        row.y[to] = b;
        row.squares[to] = a * a + b * b;
        row.product[to] = a * b;
      }
    }
  }

  void blur_columns(int y) {
    for (size_t which = 0; which < 4; ++which) {
      std::vector<double>& sum = *blurred_.all()[which];
      std::fill(sum.begin(), sum.end(), 0.0);
      for (int i = 0; i < kWindow; ++i) {
        const std::vector<double>& values = *row(y + i - kRadius).all()[which];
        for (size_t at = 0; at < sum.size(); ++at) sum[at] += weights_[i] * values[at];
      }
    }
  }

  double row_sum() {
    const size_t count = size_t{3} * (columns() - 2 * kRadius);
    for (size_t which = 0; which < 4; ++which) {
      std::vector<double>& sum = *local_.all()[which];
      const std::vector<double>& values = *blurred_.all()[which];
      std::fill(sum.begin(), sum.begin() + static_cast<int64_t>(count), 0.0);
      for (size_t i = 0; i < kWindow; ++i) {
        for (size_t at = 0; at < count; ++at) sum[at] += weights_[i] * values[at + 3 * i];
      }
    }
    double total = 0;
    for (size_t at = 0; at < count; ++at) {
      const double means = local_.x[at] * local_.y[at];
      const double mean_squares = local_.x[at] * local_.x[at] + local_.y[at] * local_.y[at];
      total += (2 * means + kC1) * (2 * (local_.product[at] - means) + kC2) /
               ((mean_squares + kC1) * (local_.squares[at] - mean_squares + kC2));
    }
    return total;
  }

  io::ImageView reference_;
  io::ImageView test_;
  int pad_x_;
  int pad_y_;
  std::array<double, kWindow> weights_ = gaussian();
  std::vector<Moments> rows_;  // the last kWindow
  Moments blurred_;
  Moments local_;
};

}  // namespace

FrameDistance frame_distance(io::ImageView reference, io::ImageView test) {
  const size_t size = reference.size.bytes();
  if (std::memcmp(reference.pixels, test.pixels, size) == 0) return {};
  constexpr size_t kChunk = 16384;  // whose squares fit into 32 bits
  FrameDistance result;
  uint64_t squares = 0, sum = 0;
  for (size_t begin = 0; begin < size; begin += kChunk) {
    uint32_t chunk_squares = 0, chunk_sum = 0;
    int largest = result.max_abs;
    for (size_t i = begin; i < std::min(begin + kChunk, size); ++i) {
      const int distance = std::abs(reference.pixels[i] - test.pixels[i]);
      chunk_squares += static_cast<uint32_t>(distance * distance);
      chunk_sum += static_cast<uint32_t>(distance);
      largest = std::max(largest, distance);
    }
    squares += chunk_squares;
    sum += chunk_sum;
    result.max_abs = largest;
  }
  result.mse = static_cast<double>(squares) / static_cast<double>(size);
  result.mean_abs = static_cast<double>(sum) / static_cast<double>(size);
  result.ssim = Ssim(reference, test).mean();
  return result;
}

double psnr_of(double mse) {
  if (mse == 0) return std::numeric_limits<double>::infinity();
  return 10 * std::log10(255.0 * 255.0 / mse);
}

double VideoDistance::mean_mse() const { return mean_of(frames, &FrameDistance::mse); }
double VideoDistance::mean_ssim() const { return mean_of(frames, &FrameDistance::ssim); }
double VideoDistance::mean_abs() const { return mean_of(frames, &FrameDistance::mean_abs); }

int VideoDistance::max_abs() const {
  int largest = 0;
  for (const FrameDistance& frame : frames) largest = std::max(largest, frame.max_abs);
  return largest;
}

int64_t VideoDistance::worst_psnr_frame() const {
  return worst_of(frames,
                  [](const FrameDistance& a, const FrameDistance& b) { return a.mse > b.mse; });
}

int64_t VideoDistance::worst_ssim_frame() const {
  return worst_of(frames,
                  [](const FrameDistance& a, const FrameDistance& b) { return a.ssim < b.ssim; });
}

VideoDistance video_distance(const io::FramesView& reference, const io::FramesView& test) {
  VideoDistance result;
  result.frames.resize(static_cast<size_t>(reference.count));
  ThreadPool pool(std::clamp(available_cores(), 1, std::max(reference.count, 1)));
  pool.run(reference.count, [&](int64_t i) {
    const int frame = static_cast<int>(i);
    result.frames[static_cast<size_t>(i)] = frame_distance(reference[frame], test[frame]);
  });
  return result;
}

}  // namespace cogvx::app
