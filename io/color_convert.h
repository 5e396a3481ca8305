#pragma once

// RGB24 to and from libav frames; included by this folder's sources only.

#include <cstdint>
#include <memory>

#include "io/frames.h"
#include "io/libav.h"

struct SwsContext;

namespace cogvx::io {

struct ScalerDeleter {
  void operator()(SwsContext* scaler) const;
};
using ScalerPtr = std::unique_ptr<SwsContext, ScalerDeleter>;

// Packed RGB24 into frames of one format. YUV: BT.709 coefficients, limited range, chroma sited
// left (the H.264 and HEVC default). BGR0: the same bytes in another order.
class RgbEncoder {
 public:
  RgbEncoder(FrameSize size, AVPixelFormat format);
  // `frame` has the size and format given above and is overwritten.
  void convert(ImageView image, AVFrame& frame);

 private:
  libav::FramePtr rgb_;
  ScalerPtr scaler_;  // none for BGR0
};

// Frames of one size and format into packed RGB24, by the coefficients, range and siting that the
// first one is tagged with. No tag means BT.601 limited, which is what untagged encoders write.
class RgbDecoder {
 public:
  explicit RgbDecoder(const AVFrame& first);
  // `pixels`: room for one frame.
  void convert(const AVFrame& frame, uint8_t* pixels);

 private:
  libav::FramePtr rgb_;
  ScalerPtr scaler_;
};

}  // namespace cogvx::io
