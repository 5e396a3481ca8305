#include "tests/io/media_goldens.h"

#include <fstream>
#include <stdexcept>

#include "core/base/sha256.h"
#include "tests/support/test_paths.h"

namespace cogvx::io::test {

const nlohmann::json& media_goldens() {
  static const nlohmann::json goldens = [] {
    std::ifstream file(cogvx::test::source_dir() / "tests/goldens/media.json");
    return nlohmann::json::parse(file);
  }();
  return goldens;
}

std::string golden_file(const std::string& name) {
  for (const nlohmann::json& one : media_goldens().at("images")) {
    if (one.at("name") == name) return bytes_of_hex(one.at("file"));
  }
  throw std::runtime_error("media.json has no picture " + name);
}

std::string bytes_of_hex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

std::string sha256_of(const std::vector<uint8_t>& bytes) {
  return sha256_hex(bytes.data(), bytes.size());
}

Image noise(FrameSize size, uint32_t seed) {
  Image image{.pixels = std::vector<uint8_t>(size.bytes()), .size = size};
  for (uint8_t& value : image.pixels) {
    seed = seed * 1664525 + 1013904223;
    value = static_cast<uint8_t>(seed >> 24);
  }
  return image;
}

}  // namespace cogvx::io::test
