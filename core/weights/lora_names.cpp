#include "core/weights/lora_names.h"

#include <algorithm>
#include <array>
#include <utility>

namespace cogvx {
namespace {

using Suffix = std::pair<std::string_view, LoraPart>;

constexpr std::array<Suffix, 7> kSuffixes{{{".lora_A.weight", LoraPart::kA},
                                           {".lora_B.weight", LoraPart::kB},
                                           {".lora.down.weight", LoraPart::kA},
                                           {".lora.up.weight", LoraPart::kB},
                                           {".lora_down.weight", LoraPart::kA},
                                           {".lora_up.weight", LoraPart::kB},
                                           {".alpha", LoraPart::kAlpha}}};
// Of attention processors, which diffusers once had: `attn1.to_q_lora.down.weight`.
constexpr std::array<Suffix, 2> kProcessorSuffixes{
    {{"_lora.down.weight", LoraPart::kA}, {"_lora.up.weight", LoraPart::kB}}};
constexpr std::string_view kDiffusersPrefix = "transformer.";
constexpr std::string_view kPeftPrefix = "base_model.model.";
constexpr std::string_view kSatPrefix = "model.diffusion_model.";
constexpr std::string_view kSatLayers = "transformer.layers.";
constexpr std::string_view kKohyaPrefix = "lora_unet_";

bool strip_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

bool strip_suffix(std::string_view& text, std::string_view suffix) {
  if (!text.ends_with(suffix)) return false;
  text.remove_suffix(suffix.size());
  return true;
}

std::string_view without_sat_prefix(std::string_view key) {
  strip_prefix(key, kSatPrefix);
  return key;
}

// transformer.layers.<i>.attention.query_key_value.matrix_A.<0, 1, 2 for q, k, v>
std::optional<LoraRole> sat_role(std::string_view key) {
  key = without_sat_prefix(key);
  if (!strip_prefix(key, kSatLayers)) return std::nullopt;
  const std::string_view layer = key.substr(0, key.find('.'));
  key.remove_prefix(layer.size());
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kPlaces{
      {{".attention.query_key_value.matrix_#.0", "to_q"},
       {".attention.query_key_value.matrix_#.1", "to_k"},
       {".attention.query_key_value.matrix_#.2", "to_v"},
       {".attention.dense.matrix_#.0", "to_out.0"}}};
  for (const auto& [place, module] : kPlaces) {
    const size_t side = place.find('#');
    if (key.size() != place.size() || (key[side] != 'A' && key[side] != 'B')) continue;
    if (key.substr(0, side) != place.substr(0, side) ||
        key.substr(side + 1) != place.substr(side + 1))
      continue;
    return LoraRole{"transformer_blocks." + std::string(layer) + ".attn1." + std::string(module),
                    key[side] == 'A' ? LoraPart::kA : LoraPart::kB, true};
  }
  return std::nullopt;
}

std::optional<LoraRole> dotted_role(std::string_view key) {
  for (const auto& [suffix, part] : kSuffixes) {
    if (strip_suffix(key, suffix)) return LoraRole{std::string(key), part};
  }
  for (const auto& [suffix, part] : kProcessorSuffixes) {
    if (!strip_suffix(key, suffix)) continue;
    std::string module(key);
    constexpr std::string_view kProcessor = ".processor.";
    if (const size_t at = module.find(kProcessor); at != std::string::npos)
      module.replace(at, kProcessor.size(), ".");
    if (module.ends_with(".to_out")) module += ".0";
    return LoraRole{std::move(module), part};
  }
  return std::nullopt;
}

bool any_starts_with(const std::vector<StoredTensor>& keys, std::string_view prefix) {
  return std::any_of(keys.begin(), keys.end(), [&](const StoredTensor& key) {
    return key.name.starts_with(prefix) && !sat_role(key.name);
  });
}

}  // namespace

// diffusers passes over the keys without its prefix. Where no key has it, it would load nothing, so
// that what PEFT alone saves can only be meant so.
LoraNames::LoraNames(const std::vector<std::string>& modules, const std::vector<StoredTensor>& keys)
    : prefix_(any_starts_with(keys, kDiffusersPrefix) ? kDiffusersPrefix
              : any_starts_with(keys, kPeftPrefix)    ? kPeftPrefix
                                                      : std::string_view()) {
  for (const std::string& module : modules) {
    std::string name = module;
    std::replace(name.begin(), name.end(), '.', '_');
    underscored_.emplace(std::move(name), module);
  }
}

std::optional<LoraRole> LoraNames::kohya_role(std::string_view key) const {
  strip_prefix(key, "_");
  for (const auto& [suffix, part] : kSuffixes) {
    if (!strip_suffix(key, suffix)) continue;
    const auto found = underscored_.find(key);
    if (found == underscored_.end()) return std::nullopt;
    return LoraRole{found->second, part};
  }
  return std::nullopt;
}

std::optional<LoraRole> LoraNames::role(std::string_view key) const {
  if (strip_prefix(key, kKohyaPrefix)) return kohya_role(key);
  if (const auto role = sat_role(key)) return role;
  if (!strip_prefix(key, prefix_)) return std::nullopt;
  return dotted_role(key);
}

}  // namespace cogvx
