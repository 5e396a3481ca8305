#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "io/frames.h"

namespace cogvx::io::test {

// tests/goldens/media.json, which scripts/make_media_goldens.py writes.
const nlohmann::json& media_goldens();
// The picture file of a case of that name.
std::string golden_file(const std::string& name);

std::string bytes_of_hex(const std::string& hex);
std::string sha256_of(const std::vector<uint8_t>& bytes);

// The pictures that the script resizes.
Image noise(FrameSize size, uint32_t seed);

}  // namespace cogvx::io::test
