#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace cogvx::test {

// The demo model as a folder of links, so that a test can put a broken file in one's place.
void link_demo_model(const std::filesystem::path& folder);

// Replaces a file, or a link to one.
void put_file(const std::filesystem::path& path, const std::string& bytes);
void put_json(const std::filesystem::path& path, const nlohmann::json& value);
// The JSON file with its members changed as in `patch` (RFC 7386: null removes).
void patch_json(const std::filesystem::path& path, const nlohmann::json& patch);

// A safetensors file taken apart without the program's own reader.
struct RawSafetensors {
  nlohmann::json header;
  std::string data;

  static RawSafetensors load(const std::filesystem::path& path);
  std::string bytes() const;
  void save(const std::filesystem::path& path) const { put_file(path, bytes()); }

  nlohmann::json& tensor(const std::string& name) { return header.at(name); }
  // Overwrites the first two bytes of a tensor.
  void poke(const std::string& name, uint16_t bits);
  // Puts a tensor of the same shape in its place: F32, every value the same.
  void fill(const std::string& name, float value);
};

}  // namespace cogvx::test
