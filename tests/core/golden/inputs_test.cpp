#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "core/base/sha256.h"
#include "tests/support/golden.h"

namespace cogvx::test {
namespace {

using nlohmann::json;

class PixelInputs : public testing::TestWithParam<const char*> {};

TEST_P(PixelInputs, EqualPythonByteForByte) {
  std::ifstream file(golden_recipe(GetParam()));
  const json recipe = json::parse(file);
  int compared = 0;
  for (const json& entry : recipe.at("cases")) {
    const GoldenCase golden(GetParam(), entry);
    for (const auto& [name, input] : entry.at("inputs").items()) {
      if (input.value("round_to", "") != "u8") continue;
      const at::Tensor pixels = golden.input(name);
      EXPECT_EQ(sha256_hex(pixels.const_data_ptr<uint8_t>(), pixels.nbytes()), input.at("sha256"))
          << golden.label() << " " << name;
      ++compared;
    }
  }
  EXPECT_GT(compared, 0);
}

INSTANTIATE_TEST_SUITE_P(Tiny, PixelInputs,
                         testing::Values("tiny-5b-i2v", "tiny-1.5", "tiny-1.5-i2v", "tiny-fun-2b",
                                         "tiny-fun-5b", "tiny-2b-input", "tiny-5b-input",
                                         "tiny-30x16-input"));

}  // namespace
}  // namespace cogvx::test
