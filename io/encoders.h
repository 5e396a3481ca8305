#pragma once

#include <string>

struct AVCodec;

namespace cogvx::io {

// The encoder of that name. OutputError when this libav has none, naming the encoders it has for
// the same codec (`codec_id` is an AVCodecID).
const AVCodec& find_encoder(const std::string& name, int codec_id);

}  // namespace cogvx::io
