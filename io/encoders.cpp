#include "io/encoders.h"

#include "core/base/errors.h"
#include "io/libav.h"

namespace cogvx::io {
namespace {

std::string encoder_names(int codec_id) {
  std::string names;
  void* position = nullptr;
  while (const AVCodec* codec = av_codec_iterate(&position)) {
    if (codec->id != codec_id || !av_codec_is_encoder(codec)) continue;
    if (!names.empty()) names += ", ";
    names += codec->name;
  }
  return names.empty() ? "none" : names;
}

}  // namespace

const AVCodec& find_encoder(const std::string& name, int codec_id) {
  if (const AVCodec* codec = avcodec_find_encoder_by_name(name.c_str())) return *codec;
  const std::string format = avcodec_get_name(static_cast<AVCodecID>(codec_id));
  throw OutputError("libav " + std::string(av_version_info()) + " has no encoder " + name +
                    ", its " + format + " encoders are: " + encoder_names(codec_id) +
                    "; install a libavcodec with " + name);
}

}  // namespace cogvx::io
