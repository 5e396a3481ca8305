#include "core/weights/conversion_plan.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include "core/base/errors.h"
#include "core/base/json.h"

namespace cogvx {
namespace {

// Names for a message, the first three of them.
std::string some_of(const std::set<std::string>& names) {
  std::string text;
  int count = 0;
  for (const std::string& name : names) {
    if (++count > 3) return text + ", ...";
    text += (text.empty() ? "" : ", ") + quoted_excerpt(name);
  }
  return text;
}

int64_t elements_per_row(const std::vector<int64_t>& shape) {
  return shape.empty()
             ? 1
             : std::accumulate(shape.begin() + 1, shape.end(), int64_t{1}, std::multiplies<>());
}

// The source's tensors by their names without the prefix.
std::map<std::string, size_t> by_name(const TensorSource& source, const std::string& prefix) {
  std::map<std::string, size_t> index;
  for (size_t i = 0; i < source.tensors().size(); ++i) {
    std::string name = source.tensors()[i].name;
    if (!prefix.empty() && name.starts_with(prefix)) name.erase(0, prefix.size());
    if (!index.try_emplace(name, i).second)
      throw DataError(source.label(i) + ": tensor " + quoted_excerpt(name) +
                      " is there twice, with and without '" + prefix + "'");
  }
  return index;
}

// A convolution of patches may be stored as a linear layer: rows are compared, and what is in them
// by its count alone, as long as the order is the same.
bool same_numbers(const std::vector<int64_t>& wanted, const std::vector<int64_t>& found,
                  const SatPlace& place) {
  const auto chunks = static_cast<int64_t>(place.chunks.size());
  const int64_t rows = row_count(found);
  if (rows % place.of != 0 || rows / place.of * chunks != row_count(wanted)) return false;
  if (elements_per_row(found) != elements_per_row(wanted)) return false;
  const bool flat = found.size() == 2 && wanted.size() == 4;
  return flat || std::equal(found.begin() + !found.empty(), found.end(),
                            wanted.begin() + !wanted.empty(), wanted.end());
}

PlannedTensor plan_tensor(const TensorSource& source, size_t index, const std::string& name,
                          const std::vector<int64_t>& shape, const SatPlace& place) {
  const SourceTensor& found = source.tensors()[index];
  const auto refuse = [&](const std::string& what) {
    throw DataError(source.label(index) + ": tensor " + quoted_excerpt(found.name) + " is " + what);
  };
  if (found.dtype != "F32" && found.dtype != "F16" && found.dtype != "BF16")
    refuse(found.dtype + ", wanted F32, F16 or BF16");
  if (!same_numbers(shape, found.shape, place)) {
    refuse(shape_text(found.shape) + ", of which " + std::to_string(place.chunks.size()) + " of " +
           std::to_string(place.of) + " parts are to be " + quoted_excerpt(name) + " " +
           shape_text(shape) + "; is it of another kind (--kind)?");
  }
  PlannedTensor planned{.name = name, .dtype = found.dtype, .shape = shape, .parts = {}};
  const int64_t rows = row_count(found.shape) / place.of;
  for (const int64_t chunk : place.chunks) {
    const RowRange range{chunk * rows, (chunk + 1) * rows};
    if (!planned.parts.empty() && planned.parts.back().rows.end == range.begin) {
      planned.parts.back().rows.end = range.end;
    } else {
      planned.parts.push_back({index, range});
    }
  }
  return planned;
}

}  // namespace

SourceNaming diffusers_naming() {
  return {.prefix = "",
          .place = [](std::string_view name) { return SatPlace{std::string(name)}; },
          .unused = [](std::string_view) { return false; }};
}

SourceNaming sat_transformer_naming(bool learned_positions) {
  return {.prefix = std::string(kSatTransformerPrefix),
          .place = sat_transformer_place,
          .unused = [learned_positions](std::string_view name) {
            return is_unused_in_sat(name, learned_positions);
          }};
}

SourceNaming sat_vae_naming() {
  return {.prefix = "", .place = sat_vae_place, .unused = [](std::string_view name) {
            return is_unused_in_sat(name, /*learned_positions=*/false);
          }};
}

SourceNaming t5_naming() {
  SourceNaming naming = diffusers_naming();
  naming.unused = [](std::string_view name) {
    return name == "encoder.embed_tokens.weight" || name.starts_with("decoder.") ||
           name.starts_with("lm_head.");
  };
  return naming;
}

std::vector<PlannedTensor> plan_tensors(const TensorSource& source, const TensorShapes& wanted,
                                        const SourceNaming& naming, const std::string& label) {
  const auto index = by_name(source, naming.prefix);
  std::vector<PlannedTensor> plan;
  std::set<std::string> missing, unknown, used;
  for (const auto& [name, shape] : wanted) {
    const SatPlace place = naming.place(name);
    const auto found = index.find(place.name);
    if (found == index.end()) {
      missing.insert(place.name);
      continue;
    }
    used.insert(place.name);
    plan.push_back(plan_tensor(source, found->second, name, shape, place));
  }
  for (const auto& [name, i] : index) {
    if (!used.contains(name) && !naming.unused(name)) unknown.insert(name);
  }
  if (!missing.empty()) {
    throw DataError(label + ": " + std::to_string(missing.size()) + " tensors are missing: " +
                    some_of(missing) + "; is it complete, and of this kind (--kind)?");
  }
  if (!unknown.empty()) {
    throw DataError(label + ": " + std::to_string(unknown.size()) + " tensors are unknown: " +
                    some_of(unknown) + "; is it of another kind (--kind)?");
  }
  return plan;
}

}  // namespace cogvx
