#include "tests/support/tiny_checkpoint.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "core/base/sha256.h"
#include "tests/support/test_paths.h"

namespace cogvx::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const char* const kCheckpoints[] = {"tiny-2b",  "tiny-5b",      "tiny-30x16",  "tiny-5b-i2v",
                                    "tiny-1.5", "tiny-1.5-i2v", "tiny-fun-2b", "tiny-fun-5b"};

fs::path recipe_path(const std::string& checkpoint) {
  return source_dir() / "tests" / "goldens" / (checkpoint + ".json");
}

json read_json(const fs::path& path) {
  std::ifstream file(path);
  return json::parse(file);
}

// Tensor bytes of one safetensors file by name, checked against shape and offsets.
void read_tensors(const fs::path& path, std::map<std::string, std::string>& tensors,
                  const std::string& dtype, size_t element_size) {
  std::ifstream file(path, std::ios::binary);
  ASSERT_TRUE(file) << path;
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  uint64_t header_size = 0;
  std::memcpy(&header_size, bytes.data(), sizeof(header_size));
  ASSERT_EQ(header_size % 8, 0U);
  const json header = json::parse(bytes.substr(8, header_size));
  const std::string data = bytes.substr(8 + header_size);
  size_t total = 0;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    EXPECT_EQ(entry.at("dtype"), dtype);
    size_t size = element_size;
    for (const size_t dimension : entry.at("shape").get<std::vector<size_t>>()) size *= dimension;
    const auto offsets = entry.at("data_offsets").get<std::vector<size_t>>();
    ASSERT_EQ(offsets.at(1) - offsets.at(0), size) << name;
    EXPECT_TRUE(tensors.emplace(name, data.substr(offsets.at(0), size)).second) << name;
    total += size;
  }
  EXPECT_EQ(total, data.size());
}

std::string sha256_of(const std::map<std::string, std::string>& tensors) {
  Sha256 sum;
  for (const auto& [name, bytes] : tensors) sum.update(bytes.data(), bytes.size());
  return sum.hex_digest();
}

TEST(TinyCheckpoint, EqualsPythonBitForBit) {
  for (const char* checkpoint : kCheckpoints) {
    const TemporaryFolder folder;
    write_tiny_checkpoint(recipe_path(checkpoint), folder.path());
    const json recipe = read_json(recipe_path(checkpoint));
    const std::map<std::string, fs::path> files = {
        {"text_encoder", "text_encoder/model.safetensors"},
        {"transformer", "transformer/diffusion_pytorch_model.safetensors"},
        {"vae", "vae/diffusion_pytorch_model.safetensors"}};
    for (const auto& [component, file] : files) {
      std::map<std::string, std::string> tensors;
      read_tensors(folder.path() / file, tensors, "F32", 4);
      EXPECT_EQ(sha256_of(tensors), recipe.at("sha256").at(component)) << checkpoint << component;
      EXPECT_EQ(read_json(folder.path() / component / "config.json"),
                recipe.at("configs").at(component));
    }
    EXPECT_EQ(read_json(folder / "model_index.json"), recipe.at("configs").at("model_index"));
    EXPECT_EQ(read_json(folder.path() / "scheduler" / "scheduler_config.json"),
              recipe.at("configs").at("scheduler"));
  }
}

TEST(TinyCheckpoint, ShardsHoldEveryTensorOnce) {
  const TemporaryFolder folder;
  write_tiny_checkpoint(recipe_path("tiny-5b"), folder.path(), StoredDtype::kFp32, 3);
  const fs::path transformer = folder / "transformer";
  EXPECT_FALSE(fs::exists(transformer / "diffusion_pytorch_model.safetensors"));
  const json index = read_json(transformer / "diffusion_pytorch_model.safetensors.index.json");
  std::map<std::string, std::string> all;
  for (const char* shard : {"diffusion_pytorch_model-00001-of-00003.safetensors",
                            "diffusion_pytorch_model-00002-of-00003.safetensors",
                            "diffusion_pytorch_model-00003-of-00003.safetensors"}) {
    std::map<std::string, std::string> part;
    read_tensors(transformer / shard, part, "F32", 4);
    for (const auto& [name, bytes] : part) EXPECT_EQ(index.at("weight_map").at(name), shard);
    all.merge(part);
  }
  EXPECT_EQ(index.at("weight_map").size(), all.size());
  EXPECT_EQ(sha256_of(all),
            read_json(recipe_path("tiny-5b")).at("sha256").at("transformer").get<std::string>());
}

TEST(TinyCheckpoint, StoresHalves) {
  const TemporaryFolder fp32;
  const TemporaryFolder bf16;
  const TemporaryFolder fp16;
  write_tiny_checkpoint(recipe_path("tiny-30x16"), fp32.path());
  write_tiny_checkpoint(recipe_path("tiny-30x16"), bf16.path(), StoredDtype::kBf16);
  write_tiny_checkpoint(recipe_path("tiny-30x16"), fp16.path(), StoredDtype::kFp16);
  const char* const file = "vae/diffusion_pytorch_model.safetensors";
  std::map<std::string, std::string> full, brain, half;
  read_tensors(fp32.path() / file, full, "F32", 4);
  read_tensors(bf16.path() / file, brain, "BF16", 2);
  read_tensors(fp16.path() / file, half, "F16", 2);
  ASSERT_EQ(full.size(), brain.size());
  ASSERT_EQ(full.size(), half.size());
  for (const auto& [name, bytes] : full) {
    float value = 0;
    uint16_t brain_bits = 0;
    uint16_t half_bits = 0;
    std::memcpy(&value, bytes.data(), sizeof(value));
    std::memcpy(&brain_bits, brain.at(name).data(), sizeof(brain_bits));
    std::memcpy(&half_bits, half.at(name).data(), sizeof(half_bits));
    EXPECT_EQ(brain_bits, bf16_bits(value)) << name;
    EXPECT_EQ(half_bits, fp16_bits(value)) << name;
  }
}

TEST(TinyCheckpoint, RoundsHalvesToNearestEven) {
  EXPECT_EQ(fp16_bits(1.0F), 0x3c00);
  EXPECT_EQ(fp16_bits(-2.0F), 0xc000);
  EXPECT_EQ(fp16_bits(1.0F + 0x1p-11F), 0x3c00);
  EXPECT_EQ(fp16_bits(1.0F + 0x3p-11F), 0x3c02);
  EXPECT_EQ(fp16_bits(2.0F - 0x1p-12F), 0x4000);
  EXPECT_EQ(fp16_bits(65519.0F), 0x7bff);
  EXPECT_EQ(fp16_bits(65520.0F), 0x7c00);
  EXPECT_EQ(fp16_bits(0x1p-14F), 0x0400);
  EXPECT_EQ(fp16_bits(0x1p-14F - 0x1p-26F), 0x0400);
  EXPECT_EQ(fp16_bits(0x1p-24F), 0x0001);
  EXPECT_EQ(fp16_bits(0x1p-25F), 0x0000);
  EXPECT_EQ(fp16_bits(-0x3p-25F), 0x8002);
  EXPECT_EQ(fp16_bits(std::numeric_limits<float>::quiet_NaN()) & 0x7e00, 0x7e00);
  EXPECT_EQ(bf16_bits(1.0F), 0x3f80);
  EXPECT_EQ(bf16_bits(1.0F + 0x1p-8F), 0x3f80);
  EXPECT_EQ(bf16_bits(1.0F + 0x3p-8F), 0x3f82);
  EXPECT_EQ(bf16_bits(-1.0F - 0x1.8p-8F), 0xbf81);
  EXPECT_EQ(rounded_to_bf16(3.14159265F), 3.140625F);
}

}  // namespace
}  // namespace cogvx::test
