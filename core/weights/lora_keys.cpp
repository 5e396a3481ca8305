#include "core/weights/lora_keys.h"

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/base/errors.h"
#include "core/base/json.h"
#include "core/base/json_reader.h"
#include "core/weights/lora_names.h"

namespace cogvx {
namespace {

using nlohmann::json;

constexpr std::string_view kWeight = ".weight";
constexpr const char* kMetadataKey = "lora_adapter_metadata";

// What an adapter's metadata, a dump of PEFT's LoraConfig, says of alphas.
struct AlphaRules {
  double alpha = 0;
  std::vector<std::pair<std::string, double>> patterns;  // of module names, the first match counts
  bool rslora = false;
};

// As PEFT matches a pattern without special characters: the name or its end, whole parts of it.
bool matches(std::string_view pattern, std::string_view module) {
  if (pattern.starts_with('^')) return module == pattern.substr(1);
  if (!module.ends_with(pattern)) return false;
  return module.size() == pattern.size() || module[module.size() - pattern.size() - 1] == '.';
}

void read_patterns(const JsonReader& read, const json& patterns, AlphaRules& rules) {
  if (!patterns.is_object()) read.fail("transformer.alpha_pattern", "an object");
  for (const auto& [pattern, alpha] : patterns.items()) {
    if (pattern.empty() || pattern.find_first_of("*+?[](){}|\\$") != std::string::npos)
      read.fail("transformer.alpha_pattern", "plain names of layers as keys");
    if (!alpha.is_number() || !std::isfinite(alpha.get<double>()))
      read.fail("transformer.alpha_pattern", "finite numbers");
    rules.patterns.emplace_back(pattern, alpha.get<double>());
  }
}

std::optional<AlphaRules> read_metadata(const SafetensorsHeader& header, const std::string& label) {
  const auto text = header.metadata.find(kMetadataKey);
  if (text == header.metadata.end()) return std::nullopt;
  const std::string place = label + ": metadata " + kMetadataKey;
  const json config = parse_json_object(text->second, place);
  const JsonReader read(config, place);
  // The configuration of a text encoder's adapter may stand beside it.
  const bool ours = std::any_of(config.items().begin(), config.items().end(), [](const auto& item) {
    return item.key().starts_with("transformer.");
  });
  if (!ours) return std::nullopt;
  AlphaRules rules;
  if (read.absent("transformer.lora_alpha")) read.fail("transformer.lora_alpha", "a number");
  read.real("transformer.lora_alpha", rules.alpha);
  read.flag("transformer.use_rslora", rules.rslora);
  if (!read.absent("transformer.alpha_pattern"))
    read_patterns(read, config.at("transformer.alpha_pattern"), rules);
  return rules;
}

template <typename T>
T load(const std::byte* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return value;
}

double read_alpha(std::span<const std::byte> file, const StoredTensor& tensor,
                  const std::string& label) {
  const auto complain = [&](const std::string& found) {
    throw DataError(label + ": tensor " + quoted_excerpt(tensor.name) + " is " + found +
                    ", wanted one finite number");
  };
  if (tensor.end - tensor.begin != stored_dtype_size(tensor.dtype))
    complain(json_excerpt(json(tensor.shape)));
  const std::byte* bytes = file.data() + tensor.begin;
  double alpha = 0;
  if (tensor.dtype == "F64") {
    alpha = load<double>(bytes);
  } else if (tensor.dtype == "F32") {
    alpha = load<float>(bytes);
  } else if (tensor.dtype == "F16") {
    alpha = c10::Half(load<uint16_t>(bytes), c10::Half::from_bits());
  } else if (tensor.dtype == "BF16") {
    alpha = c10::BFloat16(load<uint16_t>(bytes), c10::BFloat16::from_bits());
  } else if (tensor.dtype == "I64") {
    alpha = static_cast<double>(load<int64_t>(bytes));
  } else if (tensor.dtype == "I32") {
    alpha = load<int32_t>(bytes);
  } else {
    complain(tensor.dtype);
  }
  if (!std::isfinite(alpha)) complain("not finite");
  return alpha;
}

// The keys of one module.
struct Parts {
  std::optional<StoredTensor> a, b, alpha;
  bool is_sat = false;

  std::optional<StoredTensor>& of(LoraPart part) {
    return part == LoraPart::kA ? a : part == LoraPart::kB ? b : alpha;
  }
};

void check_whole(const Parts& parts, const std::string& label) {
  if (parts.a && parts.b) return;
  throw DataError(label + ": tensor " + quoted_excerpt((parts.a ? parts.a : parts.b)->name) +
                  " has no " + (parts.a ? "B" : "A") + " beside it; is the file complete?");
}

void check_fits(const LoraPair& pair, const std::vector<int64_t>& weight,
                const std::string& label) {
  const auto &a = pair.a.shape, &b = pair.b.shape;
  const auto refuse = [&](const StoredTensor& tensor, const std::string& wanted) {
    throw DataError(label + ": tensor " + quoted_excerpt(tensor.name) + " is " +
                    json_excerpt(json(tensor.shape)) + ", wanted " + wanted + " for this model's " +
                    quoted_excerpt(pair.weight) + " " + json_excerpt(json(weight)) +
                    "; was this LoRA made for another model?");
  };
  if (weight.size() < 2 || a.size() != weight.size() || a[0] < 1 ||
      !std::equal(a.begin() + 1, a.end(), weight.begin() + 1)) {
    std::string wanted = "[rank";
    for (size_t i = 1; i < weight.size(); ++i) wanted += "," + std::to_string(weight[i]);
    refuse(pair.a, wanted + "]");
  }
  if (b.size() < 2 || b[0] != weight[0] || b[1] != a[0] ||
      std::any_of(b.begin() + 2, b.end(), [](int64_t extent) { return extent != 1; })) {
    refuse(pair.b, json_excerpt(json{weight[0], a[0]}));
  }
}

double factor_by(const AlphaRules& rules, std::string_view module, double rank) {
  double alpha = rules.alpha;
  for (const auto& [pattern, value] : rules.patterns) {
    if (!matches(pattern, module)) continue;
    alpha = value;
    break;
  }
  return alpha / (rules.rslora ? std::sqrt(rank) : rank);
}

std::string module_of(const std::string& weight) {
  return weight.substr(0, weight.size() - kWeight.size());
}

std::vector<std::string> modules_of(const TensorShapes& model) {
  std::vector<std::string> modules;
  for (const auto& [name, shape] : model) {
    if (name.ends_with(kWeight)) modules.push_back(module_of(name));
  }
  return modules;
}

[[noreturn]] void fail_without_match(const SafetensorsHeader& header, const std::string& label) {
  const std::string found = header.tensors.empty()
                                ? "it holds no tensors"
                                : "none of its " + std::to_string(header.tensors.size()) +
                                      " keys names a layer of this model, the first is " +
                                      quoted_excerpt(header.tensors.front().name);
  throw DataError(label + ": " + found +
                  "; wanted keys like 'transformer.transformer_blocks.0.attn1.to_q.lora_A.weight'"
                  " or those of SAT or kohya; is this a LoRA of CogVideoX?");
}

}  // namespace

LoraKeys map_lora_keys(std::span<const std::byte> file, const TensorShapes& model,
                       const std::string& label) {
  const SafetensorsHeader header = parse_safetensors(file, label);
  const LoraNames names(modules_of(model), header.tensors);
  std::map<std::string, Parts> parts_of;  // by weight
  LoraKeys keys;
  for (const StoredTensor& tensor : header.tensors) {
    const auto role = names.role(tensor.name);
    const std::string weight = role ? role->module + std::string(kWeight) : "";
    if (!model.contains(weight)) {
      keys.unmatched.push_back(tensor.name);
      continue;
    }
    Parts& parts = parts_of[weight];
    std::optional<StoredTensor>& place = parts.of(role->part);
    if (place) {
      throw DataError(label + ": tensors " + quoted_excerpt(place->name) + " and " +
                      quoted_excerpt(tensor.name) + " mean the same; which is right for " +
                      quoted_excerpt(weight) + "?");
    }
    place = tensor;
    parts.is_sat = parts.is_sat || role->is_sat;
  }
  const std::optional<AlphaRules> rules = read_metadata(header, label);
  for (const auto& [weight, parts] : parts_of) {
    if (!parts.a && !parts.b) {
      keys.unmatched.push_back(parts.alpha->name);
      continue;
    }
    check_whole(parts, label);
    LoraPair pair{.weight = weight, .a = *parts.a, .b = *parts.b};
    check_fits(pair, model.at(weight), label);
    const auto rank = static_cast<double>(pair.a.shape[0]);
    if (parts.alpha) {
      pair.alpha_over_rank = read_alpha(file, *parts.alpha, label) / rank;
    } else if (rules) {
      pair.alpha_over_rank = factor_by(*rules, module_of(weight), rank);
    } else if (parts.is_sat) {
      pair.alpha_over_rank = 1 / rank;
    }
    keys.pairs.push_back(std::move(pair));
  }
  if (keys.pairs.empty()) fail_without_match(header, label);
  return keys;
}

}  // namespace cogvx
