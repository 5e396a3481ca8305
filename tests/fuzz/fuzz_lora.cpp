// Any bytes as an adapter's file.
#include <cmath>

#include "core/weights/lora_keys.h"
#include "tests/fuzz/fuzz_support.h"

using namespace cogvx;
using fuzz::require;

namespace {

const TensorShapes kModel{{"transformer_blocks.0.attn1.to_q.weight", {6, 4}},
                          {"transformer_blocks.0.attn1.to_q.bias", {6}},
                          {"transformer_blocks.0.attn1.to_out.0.weight", {4, 4}},
                          {"patch_embed.proj.weight", {6, 3, 2, 2}},
                          {"norm_final.weight", {6}}};

int64_t elements(const StoredTensor& tensor, size_t file_size) {
  require(tensor.begin >= 8 && tensor.begin <= tensor.end && tensor.end <= file_size,
          "a tensor lies in the file");
  return static_cast<int64_t>((tensor.end - tensor.begin) / stored_dtype_size(tensor.dtype));
}

}  // namespace

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned seed) {
  return fuzz::mutate_safetensors(data, size, max_size, seed);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view file(reinterpret_cast<const char*>(data), size);
  fuzz::parses([&] {
    const LoraKeys keys = map_lora_keys(fuzz::as_bytes(file), kModel, "input");
    require(!keys.pairs.empty(), "something matched");
    std::string last;
    for (const LoraPair& pair : keys.pairs) {
      require(pair.weight > last, "pairs are in the order of their weights");
      last = pair.weight;
      const std::vector<int64_t>& weight = kModel.at(pair.weight);
      int64_t in = 1;
      for (size_t i = 1; i < weight.size(); ++i) in *= weight[i];
      const int64_t rank = pair.a.shape.at(0);
      require(rank >= 1 && elements(pair.a, size) == rank * in, "A is [rank, in]");
      require(elements(pair.b, size) == rank * weight[0], "B is [out, rank]");
      require(std::isfinite(pair.alpha_over_rank), "the factor is a number");
    }
  });
  return 0;
}
