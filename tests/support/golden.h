#pragma once

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

// Cases of the recipes in tests/goldens (its README has the format) and comparisons with what
// diffusers computed for them.
namespace cogvx::test {

class GoldenCase {
 public:
  GoldenCase(std::string checkpoint, nlohmann::json entry);

  // "tiny-2b text.empty"
  std::string label() const { return checkpoint_ + " " + name(); }
  std::string name() const { return entry_.at("name"); }
  std::string kind() const { return entry_.at("kind"); }
  const nlohmann::json& params() const { return entry_.at("params"); }

  // With the values of the input's stream, fp32, or uint8 for pixels; `index` for inputs that are
  // lists.
  at::Tensor input(const std::string& name, int64_t index = -1) const;

  bool has_output(const std::string& name) const { return entry_.at("outputs").contains(name); }
  std::vector<std::string> output_names() const;
  // What the file holds: tensor[start::step] in every dimension.
  at::Tensor output(const std::string& name) const;
  // The same part of a whole tensor of our own; its shape must be the recipe's.
  at::Tensor same_part(const std::string& name, const at::Tensor& whole) const;

 private:
  std::string checkpoint_;
  nlohmann::json entry_;
};

std::filesystem::path golden_recipe(const std::string& checkpoint);
// All cases of a recipe that are of this kind; throws when there is none.
std::vector<GoldenCase> golden_cases(const std::string& checkpoint, const std::string& kind);
// The one of this name, "<kind>.<variant>"; throws when there is none.
GoldenCase golden_case(const std::string& checkpoint, const std::string& name);

// In double; both relative to `wanted`.
struct Difference {
  double max_abs = 0;       // largest difference / largest absolute value
  double relative_l2 = 0;   // norm of the difference / norm
  bool same_dtype = false;  // bf16 and fp32 may be compared, but bytes may be too
};
Difference difference(const at::Tensor& found, const at::Tensor& wanted);
double psnr_of_bytes(const at::Tensor& found, const at::Tensor& wanted);

struct Limits {
  double max_abs = 1e-4;
  double relative_l2 = 5e-6;
};

// Compares a whole tensor with the stored part of a case's output. The message names case and
// output and carries both numbers and both limits; the numbers are printed in any case.
testing::AssertionResult agrees(const GoldenCase& golden, const std::string& output,
                                const at::Tensor& whole, const Limits& limits = {});
testing::AssertionResult same_bytes(const at::Tensor& found, const at::Tensor& wanted);

}  // namespace cogvx::test
