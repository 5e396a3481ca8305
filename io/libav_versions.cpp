#include "io/libav_versions.h"

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libswscale/swscale.h>
}

namespace cogvx::io {
namespace {

std::string text_of(unsigned version) {
  return std::to_string(AV_VERSION_MAJOR(version)) + "." +
         std::to_string(AV_VERSION_MINOR(version)) + "." +
         std::to_string(AV_VERSION_MICRO(version));
}

}  // namespace

std::vector<std::pair<std::string, std::string>> libav_versions() {
  return {{"FFmpeg", av_version_info()},
          {"libavcodec", text_of(avcodec_version())},
          {"libavformat", text_of(avformat_version())},
          {"libavutil", text_of(avutil_version())},
          {"libswscale", text_of(swscale_version())}};
}

bool has_encoder(const std::string& name) {
  return avcodec_find_encoder_by_name(name.c_str()) != nullptr;
}

}  // namespace cogvx::io
