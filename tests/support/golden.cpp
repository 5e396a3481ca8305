#include "tests/support/golden.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <stdexcept>

#include "core/base/shapes.h"
#include "core/weights/mapped_file.h"
#include "core/weights/safetensors.h"
#include "tests/support/test_paths.h"
#include "tests/support/tiny_checkpoint.h"

namespace cogvx::test {
namespace {

using nlohmann::json;

at::ScalarType scalar_type(const std::string& stored) {
  if (stored == "F32") return at::kFloat;
  if (stored == "F64") return at::kDouble;
  if (stored == "I64") return at::kLong;
  if (stored == "U8") return at::kByte;
  if (stored == "BF16") return at::kBFloat16;
  throw std::runtime_error("a golden file holds the unexpected dtype " + stored);
}

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.3g", value);
  return text;
}

}  // namespace

GoldenCase::GoldenCase(std::string checkpoint, json entry)
    : checkpoint_(std::move(checkpoint)), entry_(std::move(entry)) {}

at::Tensor GoldenCase::input(const std::string& name, int64_t index) const {
  const json& recipe = entry_.at("inputs").at(name);
  std::string stream = recipe.at("stream");
  if (recipe.contains("count") != (index >= 0) || index >= recipe.value("count", int64_t{1}))
    throw std::out_of_range(label() + ": input " + name + " has no index " + std::to_string(index));
  if (index >= 0) stream = stream.substr(0, stream.rfind("{i}")) + std::to_string(index);
  const auto shape = recipe.at("shape").get<std::vector<int64_t>>();
  at::Tensor tensor = at::empty(shape, at::kFloat);
  std::vector<float> values = golden_values(stream, static_cast<size_t>(tensor.numel()),
                                            recipe.at("mean"), recipe.at("std"));
  const std::string round_to = recipe.value("round_to", "");
  if (round_to == "bf16")
    std::transform(values.begin(), values.end(), values.begin(), rounded_to_bf16);
  std::copy(values.begin(), values.end(), tensor.mutable_data_ptr<float>());
  return round_to == "u8" ? tensor.floor().clamp(0, 255).to(at::kByte) : tensor;
}

std::vector<std::string> GoldenCase::output_names() const {
  std::vector<std::string> names;
  for (const auto& [name, recipe] : entry_.at("outputs").items()) names.push_back(name);
  return names;
}

at::Tensor GoldenCase::output(const std::string& name) const {
  const MappedFile file(source_dir() / "tests" / "goldens" / entry_.at("file").get<std::string>());
  const SafetensorsHeader header = parse_safetensors(file.bytes(), file.path().string());
  for (const StoredTensor& stored : header.tensors) {
    if (stored.name != name) continue;
    at::Tensor tensor = at::empty(stored.shape, scalar_type(stored.dtype));
    std::memcpy(tensor.mutable_data_ptr(), file.bytes().data() + stored.begin,
                stored.end - stored.begin);
    return tensor;
  }
  throw std::runtime_error(file.path().string() + " holds no tensor " + name);
}

at::Tensor GoldenCase::same_part(const std::string& name, const at::Tensor& whole) const {
  const json& recipe = entry_.at("outputs").at(name);
  const auto shape = recipe.at("shape").get<std::vector<int64_t>>();
  if (whole.sizes() != at::IntArrayRef(shape)) {
    throw std::runtime_error(label() + ": " + name + " is " + shape_text(whole.sizes()) +
                             ", diffusers has " + shape_text(shape));
  }
  at::Tensor part = whole.cpu();
  for (int64_t dim = 0; dim < whole.dim(); ++dim) {
    part = part.slice(dim, recipe.at("start").at(dim).get<int64_t>(), std::nullopt,
                      recipe.at("step").at(dim).get<int64_t>());
  }
  return part.contiguous();
}

std::filesystem::path golden_recipe(const std::string& checkpoint) {
  return source_dir() / "tests" / "goldens" / (checkpoint + ".json");
}

std::vector<GoldenCase> golden_cases(const std::string& checkpoint, const std::string& kind) {
  std::ifstream file(golden_recipe(checkpoint));
  const json recipe = json::parse(file);
  std::vector<GoldenCase> cases;
  for (const json& entry : recipe.at("cases")) {
    if (entry.at("kind") == kind) cases.emplace_back(checkpoint, entry);
  }
  if (cases.empty()) throw std::runtime_error(checkpoint + " has no golden case of kind " + kind);
  return cases;
}

GoldenCase golden_case(const std::string& checkpoint, const std::string& name) {
  for (const GoldenCase& golden : golden_cases(checkpoint, name.substr(0, name.find('.')))) {
    if (golden.name() == name) return golden;
  }
  throw std::runtime_error(checkpoint + " has no golden case " + name);
}

Difference difference(const at::Tensor& found, const at::Tensor& wanted) {
  if (found.sizes() != wanted.sizes()) {
    throw std::runtime_error("found " + shape_text(found.sizes()) + ", wanted " +
                             shape_text(wanted.sizes()));
  }
  const at::Tensor reference = wanted.to(at::kDouble);
  const at::Tensor error = found.to(at::kDouble) - reference;
  const auto ratio = [](const at::Tensor& part, const at::Tensor& whole) {
    const double error_size = part.item<double>();
    return error_size == 0 ? 0.0 : error_size / whole.item<double>();
  };
  return {.max_abs = ratio(error.abs().max(), reference.abs().max()),
          .relative_l2 = ratio(error.norm(), reference.norm()),
          .same_dtype = found.scalar_type() == wanted.scalar_type()};
}

double psnr_of_bytes(const at::Tensor& found, const at::Tensor& wanted) {
  const double mean_square =
      (found.to(at::kDouble) - wanted.to(at::kDouble)).square().mean().item<double>();
  return 10.0 * std::log10(255.0 * 255.0 / mean_square);
}

testing::AssertionResult agrees(const GoldenCase& golden, const std::string& output,
                                const at::Tensor& whole, const Limits& limits) {
  const Difference d = difference(golden.same_part(output, whole), golden.output(output));
  const std::string numbers = golden.label() + " " + output + ": max abs " + number(d.max_abs) +
                              " of the largest value (limit " + number(limits.max_abs) +
                              "), relative L2 " + number(d.relative_l2) + " (limit " +
                              number(limits.relative_l2) + ")";
  std::printf("golden %s\n", numbers.c_str());
  // Written so that NaN fails.
  if (d.max_abs <= limits.max_abs && d.relative_l2 <= limits.relative_l2)
    return testing::AssertionSuccess();
  return testing::AssertionFailure() << numbers;
}

testing::AssertionResult same_bytes(const at::Tensor& found, const at::Tensor& wanted) {
  if (found.sizes() != wanted.sizes() || found.scalar_type() != wanted.scalar_type()) {
    return testing::AssertionFailure()
           << "found " << shape_text(found.sizes()) << " " << at::toString(found.scalar_type())
           << ", wanted " << shape_text(wanted.sizes()) << " "
           << at::toString(wanted.scalar_type());
  }
  const at::Tensor a = found.contiguous();
  const at::Tensor b = wanted.contiguous();
  const auto size = static_cast<int64_t>(a.element_size());
  const auto* x = static_cast<const char*>(a.const_data_ptr());
  const auto* y = static_cast<const char*>(b.const_data_ptr());
  int64_t differing = 0;
  int64_t first = -1;
  for (int64_t i = 0; i < a.numel(); ++i) {
    if (std::memcmp(x + i * size, y + i * size, static_cast<size_t>(size)) == 0) continue;
    ++differing;
    if (first < 0) first = i;
  }
  if (differing == 0) return testing::AssertionSuccess();
  return testing::AssertionFailure()
         << differing << " of " << a.numel() << " elements differ, the first is element " << first
         << " of " << shape_text(a.sizes());
}

}  // namespace cogvx::test
