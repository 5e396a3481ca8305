#include "app/compare/tensor_distance.h"

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>

#include "app/compare/worst.h"

namespace cogvx::app {
namespace {

struct Sums {
  double reference = 0;  // of squares
  double test = 0;
  double products = 0;
  double difference = 0;
  double max_abs = 0;
};

template <typename Scalar>
Sums sums_of(const at::Tensor& reference, const at::Tensor& test) {
  const auto* a = static_cast<const Scalar*>(reference.const_data_ptr());
  const auto* b = static_cast<const Scalar*>(test.const_data_ptr());
  Sums sums;
  for (int64_t i = 0; i < reference.numel(); ++i) {
    const auto x = static_cast<double>(static_cast<float>(a[i]));
    const auto y = static_cast<double>(static_cast<float>(b[i]));
    sums.reference += x * x;
    sums.test += y * y;
    sums.products += x * y;
    sums.difference += (y - x) * (y - x);
    sums.max_abs = std::max(sums.max_abs, std::abs(y - x));
  }
  return sums;
}

Sums sums_of_frame(const at::Tensor& reference, const at::Tensor& test) {
  switch (reference.scalar_type()) {
    case at::kFloat:
      return sums_of<float>(reference, test);
    case at::kBFloat16:
      return sums_of<c10::BFloat16>(reference, test);
    case at::kHalf:
      return sums_of<c10::Half>(reference, test);
    default:
      throw std::logic_error("no distance for this dtype");
  }
}

LatentFrameDistance distance_of(const at::Tensor& reference, const at::Tensor& test) {
  if (std::memcmp(reference.const_data_ptr(), test.const_data_ptr(), reference.nbytes()) == 0)
    return {};
  const Sums sums = sums_of_frame(reference, test);
  if (sums.difference == 0) return {.identical = false};
  const double norms = std::sqrt(sums.reference) * std::sqrt(sums.test);
  return {.identical = false,
          .relative_l2 = std::sqrt(sums.difference / sums.reference),
          .cosine = norms == 0 ? 0 : std::clamp(sums.products / norms, -1.0, 1.0),
          .max_abs = sums.max_abs};
}

using Frame = LatentFrameDistance;

}  // namespace

double TensorDistance::mean_relative_l2() const { return mean_of(frames, &Frame::relative_l2); }
double TensorDistance::mean_cosine() const { return mean_of(frames, &Frame::cosine); }

double TensorDistance::max_abs() const {
  double largest = 0;
  for (const Frame& frame : frames) largest = std::max(largest, frame.max_abs);
  return largest;
}

int64_t TensorDistance::worst_l2_frame() const {
  return worst_of(frames,
                  [](const Frame& a, const Frame& b) { return a.relative_l2 > b.relative_l2; });
}

int64_t TensorDistance::worst_cosine_frame() const {
  return worst_of(frames, [](const Frame& a, const Frame& b) { return a.cosine < b.cosine; });
}

TensorDistance tensor_distance(const at::Tensor& reference, const at::Tensor& test) {
  TensorDistance result;
  for (int64_t i = 0; i < reference.size(0); ++i) {
    result.frames.push_back(distance_of(reference[i].contiguous(), test[i].contiguous()));
  }
  return result;
}

}  // namespace cogvx::app
