#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/weights/safetensors.h"

namespace cogvx {

enum class LoraPart { kA, kB, kAlpha };

// What a key of an adapter's file stands for.
struct LoraRole {
  std::string module;  // as diffusers names it: "transformer_blocks.0.attn1.to_out.0"
  LoraPart part = LoraPart::kA;
  bool is_sat = false;
};

// The meaning of an adapter's keys, which may be in any of the namings that map_lora_keys knows.
class LoraNames {
 public:
  // Modules are those of the model, by diffusers' names; all keys of the file.
  LoraNames(const std::vector<std::string>& modules, const std::vector<StoredTensor>& keys);
  // None for a key in no naming; the module need not be one of the model's.
  std::optional<LoraRole> role(std::string_view key) const;

 private:
  std::optional<LoraRole> kohya_role(std::string_view key) const;

  std::map<std::string, std::string, std::less<>> underscored_;  // kohya's name -> module
  std::string_view prefix_;
};

}  // namespace cogvx
