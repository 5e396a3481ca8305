#pragma once

// Decoded pictures to RGB24 with the arithmetic of the libraries behind Pillow; included by this
// folder's sources only.

#include "io/frames.h"
#include "io/libav.h"
#include "io/picture_header.h"

namespace cogvx::io {

struct PicturePixels {
  Image image;
  bool has_alpha = false;  // some pixel is not opaque; the image has the colours stored beneath
  bool was_deep = false;   // more than 8 bits a channel, of which the upper 8 are taken
};

// Grey and palettes are spread out; YUV as libjpeg-turbo does it for JPEG and libwebp for WebP
// ("fancy upsampling"). DataError for a pixel format that libswscale does not know.
PicturePixels picture_pixels(const AVFrame& frame, PictureFormat format);

}  // namespace cogvx::io
