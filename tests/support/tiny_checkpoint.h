#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

// Tiny random checkpoints and inputs from the recipes in tests/goldens (its README says how a
// number follows from a name; scripts/goldens/values.py is the same in Python).
namespace cogvx::test {

enum class StoredDtype { kFp32, kFp16, kBf16 };

// The first `count` values of a stream, e.g. "tiny-2b/vae/decoder.conv_in.conv.bias" or a case's
// input.
std::vector<float> golden_values(std::string_view stream_name, size_t count, double mean,
                                 double std);

// The bits of the nearest value of the narrower type, ties to even.
uint16_t fp16_bits(float value);
uint16_t bf16_bits(float value);
// What inputs marked "round_to": "bf16" have gone through.
float rounded_to_bf16(float value);

// Fills `target_dir` (made if absent) with a checkpoint in the layout of diffusers, without a
// tokenizer/ folder. The transformer goes into one file, or into `transformer_shards` files and an
// index.
void write_tiny_checkpoint(const std::filesystem::path& recipe_json,
                           const std::filesystem::path& target_dir,
                           StoredDtype dtype = StoredDtype::kFp32, int transformer_shards = 1);

}  // namespace cogvx::test
