#include "tests/support/tiny_checkpoint.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

namespace cogvx::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// A tensor's recipe; maps keep tensors in the order of their names.
struct TensorRecipe {
  std::vector<int64_t> shape;
  double mean = 0;
  double std = 0;

  size_t count() const {
    size_t product = 1;
    for (const int64_t size : shape) product *= static_cast<size_t>(size);
    return product;
  }
};
using ComponentRecipe = std::map<std::string, TensorRecipe>;

ComponentRecipe component_recipe(const json& tensors) {
  ComponentRecipe recipe;
  for (const auto& [name, entry] : tensors.items()) {
    recipe[name] = {entry.at("shape").get<std::vector<int64_t>>(), entry.at("mean").get<double>(),
                    entry.at("std").get<double>()};
  }
  return recipe;
}

uint64_t fnv1a_64(std::string_view text) {
  uint64_t state = 0xcbf29ce484222325;
  for (const char c : text) state = (state ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return state;
}

uint64_t splitmix64_output(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

const char* safetensors_name(StoredDtype dtype) {
  switch (dtype) {
    case StoredDtype::kFp32:
      return "F32";
    case StoredDtype::kFp16:
      return "F16";
    case StoredDtype::kBf16:
      return "BF16";
  }
  throw std::invalid_argument("unknown StoredDtype");
}

size_t element_size(StoredDtype dtype) { return dtype == StoredDtype::kFp32 ? 4 : 2; }

std::ofstream open_for_writing(const fs::path& path) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.exceptions(std::ios::failbit | std::ios::badbit);
  return file;
}

void write_json(const fs::path& path, const json& value) {
  fs::create_directories(path.parent_path());
  open_for_writing(path) << value.dump(2) << '\n';
}

std::string safetensors_header(const ComponentRecipe& recipe, StoredDtype dtype) {
  json header = {{"__metadata__", {{"format", "pt"}}}};
  size_t offset = 0;
  for (const auto& [name, tensor] : recipe) {
    const size_t end = offset + tensor.count() * element_size(dtype);
    header[name] = {{"dtype", safetensors_name(dtype)},
                    {"shape", tensor.shape},
                    {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  return text;
}

void write_values(std::ofstream& file, const std::vector<float>& values, StoredDtype dtype) {
  if (dtype == StoredDtype::kFp32) {
    file.write(reinterpret_cast<const char*>(values.data()),
               static_cast<std::streamsize>(values.size() * sizeof(float)));
    return;
  }
  std::vector<uint16_t> halves(values.size());
  std::transform(values.begin(), values.end(), halves.begin(),
                 dtype == StoredDtype::kFp16 ? fp16_bits : bf16_bits);
  file.write(reinterpret_cast<const char*>(halves.data()),
             static_cast<std::streamsize>(halves.size() * sizeof(uint16_t)));
}

// `stream_prefix` is "<checkpoint>/<component>/".
void write_safetensors(const fs::path& path, const std::string& stream_prefix,
                       const ComponentRecipe& recipe, StoredDtype dtype) {
  static_assert(std::endian::native == std::endian::little, "safetensors is little-endian");
  fs::create_directories(path.parent_path());
  std::ofstream file = open_for_writing(path);
  const std::string header = safetensors_header(recipe, dtype);
  const uint64_t header_size = header.size();
  file.write(reinterpret_cast<const char*>(&header_size), sizeof(header_size));
  file << header;
  for (const auto& [name, tensor] : recipe) {
    write_values(file, golden_values(stream_prefix + name, tensor.count(), tensor.mean, tensor.std),
                 dtype);
  }
  file.close();
}

std::string shard_name(int index, int count) {
  auto five_digits = [](int number) {
    const std::string digits = std::to_string(number);
    return std::string(5 - digits.size(), '0') + digits;
  };
  return "diffusion_pytorch_model-" + five_digits(index) + "-of-" + five_digits(count) +
         ".safetensors";
}

// Tensors go round the shards in turn, so that each shard holds parts of every layer.
void write_shards(const fs::path& folder, const std::string& stream_prefix,
                  const ComponentRecipe& recipe, StoredDtype dtype, int shards) {
  std::vector<ComponentRecipe> parts(static_cast<size_t>(shards));
  json weight_map = json::object();
  size_t total_size = 0;
  size_t next = 0;
  for (const auto& [name, tensor] : recipe) {
    parts[next][name] = tensor;
    weight_map[name] = shard_name(static_cast<int>(next) + 1, shards);
    total_size += tensor.count() * element_size(dtype);
    next = (next + 1) % parts.size();
  }
  for (size_t i = 0; i < parts.size(); ++i) {
    write_safetensors(folder / shard_name(static_cast<int>(i) + 1, shards), stream_prefix, parts[i],
                      dtype);
  }
  write_json(folder / "diffusion_pytorch_model.safetensors.index.json",
             {{"metadata", {{"total_size", total_size}}}, {"weight_map", weight_map}});
}

void write_configs(const json& configs, const fs::path& target_dir) {
  write_json(target_dir / "model_index.json", configs.at("model_index"));
  write_json(target_dir / "scheduler" / "scheduler_config.json", configs.at("scheduler"));
  for (const char* component : {"text_encoder", "transformer", "vae"}) {
    write_json(target_dir / component / "config.json", configs.at(component));
  }
}

}  // namespace

std::vector<float> golden_values(std::string_view stream_name, size_t count, double mean,
                                 double std) {
  const uint64_t seed = fnv1a_64(stream_name);
  const double spread = std * std::sqrt(3.0);
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) {
    const uint64_t z = splitmix64_output(seed + (i + 1) * 0x9e3779b97f4a7c15);
    const double u = static_cast<double>(z >> 40) * 0x1p-24;
    values[i] = static_cast<float>(mean + spread * (2.0 * u - 1.0));
  }
  return values;
}

uint16_t fp16_bits(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000);
  const uint32_t magnitude_bits = bits & 0x7fffffff;
  const auto magnitude = std::bit_cast<float>(magnitude_bits);
  if (std::isnan(value)) return sign | 0x7e00;
  if (magnitude >= 65520.0F) return sign | 0x7c00;
  if (magnitude < 0x1p-14F) {
    // Subnormals are multiples of 2^-24; the product is exact and nearbyint rounds ties to even.
    return static_cast<uint16_t>(sign | static_cast<uint16_t>(std::nearbyint(magnitude * 0x1p24F)));
  }
  const uint32_t rounded = magnitude_bits + 0xfff + ((magnitude_bits >> 13) & 1);
  return static_cast<uint16_t>(sign | ((rounded - (112U << 23)) >> 13));
}

uint16_t bf16_bits(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if (std::isnan(value)) return static_cast<uint16_t>((bits >> 16) | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

float rounded_to_bf16(float value) {
  return std::bit_cast<float>(static_cast<uint32_t>(bf16_bits(value)) << 16);
}

void write_tiny_checkpoint(const fs::path& recipe_json, const fs::path& target_dir,
                           StoredDtype dtype, int transformer_shards) {
  std::ifstream file(recipe_json);
  if (!file) throw std::runtime_error("cannot read " + recipe_json.string());
  const json recipe = json::parse(file);
  const auto checkpoint = recipe.at("checkpoint").get<std::string>();
  auto recipe_of = [&](const char* component) {
    return component_recipe(recipe.at("tensors").at(component));
  };
  auto prefix_of = [&](const char* component) { return checkpoint + "/" + component + "/"; };

  write_configs(recipe.at("configs"), target_dir);
  write_safetensors(target_dir / "text_encoder" / "model.safetensors", prefix_of("text_encoder"),
                    recipe_of("text_encoder"), dtype);
  write_safetensors(target_dir / "vae" / "diffusion_pytorch_model.safetensors", prefix_of("vae"),
                    recipe_of("vae"), dtype);
  const fs::path transformer = target_dir / "transformer";
  if (transformer_shards > 1) {
    write_shards(transformer, prefix_of("transformer"), recipe_of("transformer"), dtype,
                 transformer_shards);
  } else {
    write_safetensors(transformer / "diffusion_pytorch_model.safetensors", prefix_of("transformer"),
                      recipe_of("transformer"), dtype);
  }
}

}  // namespace cogvx::test
