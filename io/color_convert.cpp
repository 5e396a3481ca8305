#include "io/color_convert.h"

extern "C" {
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>
}

#include <cstring>
#include <new>

#include "core/base/errors.h"

namespace cogvx::io {
namespace {

// swscale's unit for a chroma position is 1/256 of a luma sample; this value leaves the choice to
// swscale.
constexpr int kPositionUnset = -513;

struct ChromaPosition {
  int horizontal = kPositionUnset;
  int vertical = kPositionUnset;
};

struct Plane {
  AVPixelFormat format;
  ChromaPosition chroma;
};

struct ColorTags {
  int coefficients;  // SWS_CS_*, the same numbers as AVColorSpace
  bool source_full;
  bool target_full;
};

ChromaPosition chroma_position(AVPixelFormat format, AVChromaLocation location) {
  const AVPixFmtDescriptor* description = av_pix_fmt_desc_get(format);
  ChromaPosition position;
  const bool centred = location == AVCHROMA_LOC_CENTER;
  const bool top = location == AVCHROMA_LOC_TOPLEFT;
  if (description->log2_chroma_w == 1) position.horizontal = centred ? 128 : 0;
  if (description->log2_chroma_h == 1) position.vertical = top ? 0 : 128;
  return position;
}

// FULL_CHR_H_INP and _INT keep chroma at full width until the filter; ACCURATE_RND and BITEXACT
// make the result the same on every CPU and close the unscaled short cuts, which ignore the
// coefficients.
constexpr int kFlags =
    SWS_BICUBIC | SWS_FULL_CHR_H_INP | SWS_FULL_CHR_H_INT | SWS_ACCURATE_RND | SWS_BITEXACT;

ScalerPtr make_scaler(FrameSize size, Plane source, Plane target, ColorTags tags) {
  ScalerPtr scaler(sws_alloc_context());
  if (!scaler) throw std::bad_alloc();
  const auto set = [&](const char* name, int value) {
    av_opt_set_int(scaler.get(), name, value, /*search_flags=*/0);
  };
  set("srcw", size.width);
  set("srch", size.height);
  set("dstw", size.width);
  set("dsth", size.height);
  set("src_format", source.format);
  set("dst_format", target.format);
  set("src_h_chr_pos", source.chroma.horizontal);
  set("src_v_chr_pos", source.chroma.vertical);
  set("dst_h_chr_pos", target.chroma.horizontal);
  set("dst_v_chr_pos", target.chroma.vertical);
  set("src_range", tags.source_full);
  set("dst_range", tags.target_full);
  set("sws_flags", kFlags);
  if (sws_init_context(scaler.get(), nullptr, nullptr) < 0) {
    throw DataError(std::string("frames of pixel format ") + av_get_pix_fmt_name(source.format) +
                    ": libswscale cannot turn them into " + av_get_pix_fmt_name(target.format) +
                    "; convert the file with ffmpeg first");
  }
  const int* coefficients = sws_getCoefficients(tags.coefficients);
  constexpr int kUnchanged = 1 << 16;
  // Refused only between formats that need no coefficients.
  sws_setColorspaceDetails(scaler.get(), coefficients, tags.source_full, coefficients,
                           tags.target_full, /*brightness=*/0, kUnchanged, kUnchanged);
  return scaler;
}

void run(SwsContext* scaler, const AVFrame& source, AVFrame& target) {
  sws_scale(scaler, source.data, source.linesize, /*srcSliceY=*/0, source.height, target.data,
            target.linesize);
}

ColorTags tags_of(const AVFrame& frame) {
  return {.coefficients = frame.colorspace == AVCOL_SPC_UNSPECIFIED
                              ? SWS_CS_DEFAULT
                              : static_cast<int>(frame.colorspace),
          .source_full = frame.color_range == AVCOL_RANGE_JPEG,
          .target_full = true};
}

void reorder_to_bgr0(ImageView image, AVFrame& frame) {
  const uint8_t* source = image.pixels;
  for (int y = 0; y < image.size.height; ++y) {
    uint8_t* target = frame.data[0] + static_cast<ptrdiff_t>(y) * frame.linesize[0];
    for (int x = 0; x < image.size.width; ++x, source += 3, target += 4) {
      target[0] = source[2];
      target[1] = source[1];
      target[2] = source[0];
      target[3] = 0;
    }
  }
}

}  // namespace

void ScalerDeleter::operator()(SwsContext* scaler) const { sws_freeContext(scaler); }

RgbEncoder::RgbEncoder(FrameSize size, AVPixelFormat format)
    : rgb_(libav::make_frame(size.width, size.height, AV_PIX_FMT_RGB24)) {
  // libswscale promises no bytes; here every one counts.
  if (format == AV_PIX_FMT_BGR0) return;
  scaler_ = make_scaler(
      size, Plane{.format = AV_PIX_FMT_RGB24, .chroma = {}},
      Plane{.format = format, .chroma = chroma_position(format, AVCHROMA_LOC_LEFT)},
      ColorTags{.coefficients = SWS_CS_ITU709, .source_full = true, .target_full = false});
}

void RgbEncoder::convert(ImageView image, AVFrame& frame) {
  if (!scaler_) {
    reorder_to_bgr0(image, frame);
    return;
  }
  const size_t row_bytes = size_t{3} * static_cast<size_t>(rgb_->width);
  for (int y = 0; y < rgb_->height; ++y) {
    std::memcpy(rgb_->data[0] + static_cast<ptrdiff_t>(y) * rgb_->linesize[0],
                image.pixels + static_cast<size_t>(y) * row_bytes, row_bytes);
  }
  run(scaler_.get(), *rgb_, frame);
}

RgbDecoder::RgbDecoder(const AVFrame& first)
    : rgb_(libav::make_frame(first.width, first.height, AV_PIX_FMT_RGB24)) {
  const auto format = static_cast<AVPixelFormat>(first.format);
  scaler_ =
      make_scaler(FrameSize{.width = first.width, .height = first.height},
                  Plane{.format = format, .chroma = chroma_position(format, first.chroma_location)},
                  Plane{.format = AV_PIX_FMT_RGB24, .chroma = {}}, tags_of(first));
}

void RgbDecoder::convert(const AVFrame& frame, uint8_t* pixels) {
  run(scaler_.get(), frame, *rgb_);
  const size_t row_bytes = size_t{3} * static_cast<size_t>(rgb_->width);
  for (int y = 0; y < rgb_->height; ++y) {
    std::memcpy(pixels + static_cast<size_t>(y) * row_bytes,
                rgb_->data[0] + static_cast<ptrdiff_t>(y) * rgb_->linesize[0], row_bytes);
  }
}

}  // namespace cogvx::io
