#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "core/base/thread_pool.h"
#include "core/ops/cpu/cpu_ops.h"
#include "core/text/t5_encoder.h"
#include "core/weights/safetensors.h"
#include "tests/core/weights/weights_test_support.h"
#include "tests/support/cpu_path.h"
#include "tests/support/test_paths.h"

// Names and shapes of T5 v1.1, from the specification's table (section 2.3).
namespace cogvx {
namespace {

using namespace test;
using testing::HasSubstr;

std::vector<StoredTensor> published_tensors(const T5Config& c) {
  std::vector<StoredTensor> tensors;
  const auto add = [&](const std::string& name, std::vector<int64_t> shape) {
    tensors.push_back({"encoder." + name + ".weight", "BF16", std::move(shape)});
  };
  const int64_t inner = c.num_heads * c.d_kv;
  tensors.push_back({"shared.weight", "BF16", {c.vocab_size, c.d_model}});
  add("final_layer_norm", {c.d_model});
  add("block.0.layer.0.SelfAttention.relative_attention_bias",
      {c.relative_attention_num_buckets, c.num_heads});
  for (int64_t i = 0; i < c.num_layers; ++i) {
    const std::string layer = "block." + std::to_string(i) + ".layer.";
    for (const char* part : {"q", "k", "v"})
      add(layer + "0.SelfAttention." + part, {inner, c.d_model});
    add(layer + "0.SelfAttention.o", {c.d_model, inner});
    add(layer + "0.layer_norm", {c.d_model});
    add(layer + "1.layer_norm", {c.d_model});
    add(layer + "1.DenseReluDense.wi_0", {c.d_ff, c.d_model});
    add(layer + "1.DenseReluDense.wi_1", {c.d_ff, c.d_model});
    add(layer + "1.DenseReluDense.wo", {c.d_model, c.d_ff});
  }
  return tensors;
}

int64_t elements(const std::vector<StoredTensor>& tensors) {
  int64_t sum = 0;
  for (const StoredTensor& tensor : tensors) sum += c10::multiply_integers(tensor.shape);
  return sum;
}

// The file with zeros in all of them.
void write_zeros(const TemporaryFolder& folder, const std::vector<StoredTensor>& tensors) {
  const std::filesystem::path path = folder / "model.safetensors";
  const std::string prefix = safetensors_prefix(tensors, {});
  std::ofstream(path, std::ios::binary) << prefix;
  std::filesystem::resize_file(path, prefix.size() + 2 * static_cast<size_t>(elements(tensors)));
}

void encode(const TemporaryFolder& folder, const T5Config& config) {
  WeightMap weights(folder.path(), "model");
  ThreadPool pool(1);
  CpuOps ops(pool, test::cpu_path());
  encode_prompts({{1, 2, 3}}, config, weights, at::kBFloat16, ops, {});
}

TEST(T5Tensors, ThePublishedModelHasThoseOfTheSpecification) {
  const std::vector<StoredTensor> tensors = published_tensors(T5Config{});
  EXPECT_EQ(tensors.size(), 219U);
  EXPECT_EQ(elements(tensors), 4'762'310'656);
  const TemporaryFolder folder;
  write_zeros(folder, tensors);
  WeightMap weights(folder.path(), "model");
  for (const StoredTensor& tensor : tensors) EXPECT_TRUE(weights.contains(tensor.name));
}

// Every size is another one, so that none can stand for another.
TEST(T5Tensors, AllOfThemAreTakenAtFullDepthInTheirShapesAndNoOthers) {
  const T5Config narrow{.vocab_size = 40, .d_model = 24, .d_kv = 4, .d_ff = 36, .num_heads = 3};
  std::vector<StoredTensor> tensors = published_tensors(narrow);
  ASSERT_EQ(tensors.size(), 219U);
  {
    const TemporaryFolder folder;
    write_zeros(folder, tensors);
    EXPECT_EQ(data_error([&] { encode(folder, narrow); }), "");
  }
  const StoredTensor last = tensors.back();
  tensors.pop_back();
  {
    const TemporaryFolder folder;
    write_zeros(folder, tensors);
    EXPECT_THAT(data_error([&] { encode(folder, narrow); }), HasSubstr("is missing"));
  }
  tensors.push_back(last);
  tensors.push_back({"encoder.block.24.layer.0.layer_norm.weight", "BF16", {24}});
  const TemporaryFolder folder;
  write_zeros(folder, tensors);
  EXPECT_THAT(data_error([&] { encode(folder, narrow); }), HasSubstr("1 tensors are left over"));
}

}  // namespace
}  // namespace cogvx
