#include "tests/support/sat_checkpoint.h"

#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "tests/support/test_paths.h"

namespace cogvx::test {
namespace {

using nlohmann::json;

json read_golden(const std::string& name) {
  std::ifstream file(source_dir() / "tests" / "goldens" / name);
  return json::parse(file);
}

std::string stored_bytes(const std::vector<float>& values, StoredDtype dtype) {
  std::string bytes;
  for (const float value : values) {
    const uint16_t half = dtype == StoredDtype::kFp16 ? fp16_bits(value) : bf16_bits(value);
    if (dtype == StoredDtype::kFp32) {
      bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
    } else {
      bytes.append(reinterpret_cast<const char*>(&half), sizeof(half));
    }
  }
  return bytes;
}

const char* dtype_name(StoredDtype dtype) {
  return dtype == StoredDtype::kFp32 ? "F32" : dtype == StoredDtype::kFp16 ? "F16" : "BF16";
}

size_t count_of(const std::vector<int64_t>& shape) {
  size_t count = 1;
  for (const int64_t extent : shape) count *= static_cast<size_t>(extent);
  return count;
}

}  // namespace

void write_sat_file(const std::filesystem::path& path, const char* component,
                    const std::string& variant, const std::string& checkpoint, StoredDtype dtype,
                    const Change& change) {
  const json table = read_golden("sat_names.json").at(component).at(variant);
  const json recipes = read_golden(checkpoint + ".json").at("tensors").at(component);
  std::vector<SavedTensor> tensors;
  for (const json& entry : table.at("entries")) {
    SavedTensor tensor{entry.at("sat"), dtype_name(dtype), entry.at("shape"), ""};
    for (const json& chunk : entry.at("chunks")) {
      const std::string name = chunk.at(0);
      const json& recipe = recipes.at(name);
      const std::string bytes = stored_bytes(
          golden_values(checkpoint + "/" + component + "/" + name, count_of(recipe.at("shape")),
                        recipe.at("mean"), recipe.at("std")),
          dtype);
      const size_t size = bytes.size() / chunk.at(2).get<size_t>();
      tensor.bytes += bytes.substr(chunk.at(1).get<size_t>() * size, size);
    }
    if (tensor.bytes.size() != count_of(tensor.shape) * (dtype == StoredDtype::kFp32 ? 4 : 2))
      throw std::runtime_error("table " + variant + " is not of " + checkpoint);
    tensors.push_back(std::move(tensor));
  }
  for (const json& entry : table.at("dropped")) {
    SavedTensor tensor{entry.at("sat"), dtype_name(dtype), entry.at("shape"), ""};
    tensor.bytes = stored_bytes(std::vector<float>(count_of(tensor.shape), 0.5F), dtype);
    tensors.push_back(std::move(tensor));
  }
  if (change) change(tensors);
  write_torch_file(path, table.at("wrapper"), tensors);
}

}  // namespace cogvx::test
