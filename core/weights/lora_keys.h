#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "core/weights/safetensors.h"

namespace cogvx {

// What an adapter does to one tensor of the model: it becomes weight + alpha_over_rank * B A.
struct LoraPair {
  std::string weight;          // the model's tensor, [out, in...]
  StoredTensor a;              // [rank, in...]
  StoredTensor b;              // [out, rank], or with extents of 1 behind it
  double alpha_over_rank = 1;  // what the file itself says
};

struct LoraKeys {
  std::vector<LoraPair> pairs;         // in the order of the model's names
  std::vector<std::string> unmatched;  // keys that mean no tensor of the model, in file order
};

// Finds out what the keys of an adapter's file mean. Namings: diffusers and PEFT (`lora_A`), older
// diffusers (`lora.down`, `to_q_lora.down`), SAT (`matrix_A.0`), kohya (`lora_unet__`). The factor
// of a pair is its `.alpha` key's, else that of the metadata `lora_adapter_metadata`, else 1/rank
// in SAT's naming and 1 in the others. Throws DataError where a pair is not whole or does not fit
// the model's tensor, and where no key means any.
LoraKeys map_lora_keys(std::span<const std::byte> file, const TensorShapes& model,
                       const std::string& label);

}  // namespace cogvx
