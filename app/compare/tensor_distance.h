#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace cogvx::app {

// How one latent frame stands to the reference's, computed in double.
struct LatentFrameDistance {
  bool identical = true;   // byte for byte: 0 and -0 are not
  double relative_l2 = 0;  // norm of the difference / norm of the reference; inf where that is 0
  double cosine = 1;       // 0 where one alone has the norm 0
  double max_abs = 0;
};

struct TensorDistance {
  std::vector<LatentFrameDistance> frames;

  // Plain means over the latent frames.
  double mean_relative_l2() const;
  double mean_cosine() const;
  double max_abs() const;
  // The first of the frames with the largest distance, and with the smallest cosine. -1: no frames.
  int64_t worst_l2_frame() const;
  int64_t worst_cosine_frame() const;
};
// Of finite tensors [L, ...] of one shape, fp32, bf16 or fp16.
TensorDistance tensor_distance(const at::Tensor& reference, const at::Tensor& test);

}  // namespace cogvx::app
