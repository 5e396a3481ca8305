#pragma once

#include <cstdint>
#include <vector>

#include "io/frames.h"

namespace cogvx::app {

// How one frame stands to the reference's, over all its RGB bytes.
struct FrameDistance {
  double mse = 0;       // of the bytes' differences; 0: identical
  double mean_abs = 0;  // of 0 to 255
  int max_abs = 0;
  double ssim = 1;  // Wang et al. 2004: 11x11 Gaussian of sigma 1.5, mean over the three planes
  bool operator==(const FrameDistance&) const = default;
};
FrameDistance frame_distance(io::ImageView reference, io::ImageView test);

// Decibels for 8 bits; infinite where mse is 0.
double psnr_of(double mse);

// Of a whole video. Its PSNR is that of the mean over all frames' mse, not a mean of decibels.
struct VideoDistance {
  std::vector<FrameDistance> frames;

  double mean_mse() const;
  double mean_ssim() const;
  double mean_abs() const;
  int max_abs() const;
  // The first of the frames with the largest mse, and with the smallest SSIM. -1: no frames.
  int64_t worst_psnr_frame() const;
  int64_t worst_ssim_frame() const;
};
// Of two videos of one size and length.
VideoDistance video_distance(const io::FramesView& reference, const io::FramesView& test);

}  // namespace cogvx::app
