#include "tests/support/broken_files.h"

#include <cstring>
#include <fstream>
#include <functional>

#include "tests/support/demo_run.h"
#include "tests/support/program.h"

namespace cogvx::test {
namespace fs = std::filesystem;
using nlohmann::json;

void link_demo_model(const fs::path& folder) {
  for (const auto& entry : fs::recursive_directory_iterator(demo_model())) {
    const fs::path target = folder / fs::relative(entry.path(), demo_model());
    fs::create_directories(entry.is_directory() ? target : target.parent_path());
    if (!entry.is_directory()) fs::create_symlink(entry.path(), target);
  }
}

void put_file(const fs::path& path, const std::string& bytes) {
  fs::remove(path);
  std::ofstream(path, std::ios::binary) << bytes;
}

void put_json(const fs::path& path, const json& value) { put_file(path, value.dump()); }

void patch_json(const fs::path& path, const json& patch) {
  json value = json::parse(read_file(path));
  value.merge_patch(patch);
  put_json(path, value);
}

RawSafetensors RawSafetensors::load(const fs::path& path) {
  const std::string bytes = read_file(path);
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof length);
  return {json::parse(bytes.substr(sizeof length, length)), bytes.substr(sizeof length + length)};
}

std::string RawSafetensors::bytes() const {
  const std::string text = header.dump();
  const uint64_t length = text.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof length) + text + data;
}

void RawSafetensors::poke(const std::string& name, uint16_t bits) {
  const size_t begin = header.at(name).at("data_offsets").at(0);
  std::memcpy(data.data() + begin, &bits, sizeof bits);
}

void RawSafetensors::fill(const std::string& name, float value) {
  json& entry = header.at(name);
  const size_t begin = entry.at("data_offsets").at(0), end = entry.at("data_offsets").at(1);
  size_t count = 1;
  for (const json& extent : entry.at("shape")) count *= extent.get<size_t>();
  std::string bytes(count * sizeof value, '\0');
  for (size_t i = 0; i < count; ++i)
    std::memcpy(bytes.data() + i * sizeof value, &value, sizeof value);
  // The data goes to the end; what stood behind it moves up.
  data = data.substr(0, begin) + data.substr(end) + bytes;
  for (auto& [key, other] : header.items()) {
    if (key == "__metadata__") continue;
    json& offsets = other.at("data_offsets");
    if (offsets.at(0).get<size_t>() < end) continue;
    for (json& offset : offsets) offset = offset.get<size_t>() - (end - begin);
  }
  entry["dtype"] = "F32";
  entry["data_offsets"] = {data.size() - bytes.size(), data.size()};
}

}  // namespace cogvx::test
