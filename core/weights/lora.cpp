#include "core/weights/lora.h"

#include <ATen/ops/mm.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <utility>

#include "core/base/sha256.h"
#include "core/base/shapes.h"
#include "core/weights/stored_numbers.h"

namespace cogvx {
namespace {

std::string exact(double value) {
  char text[40];
  std::snprintf(text, sizeof(text), "%a", value);
  return text;
}

std::string content_line(const LoraPair& pair, std::span<const std::byte> file,
                         const std::string& label) {
  std::string line = pair.weight + " " + exact(pair.alpha_over_rank);
  for (const StoredTensor* tensor : {&pair.a, &pair.b}) {
    const auto bytes = checked_numbers(*tensor, file, label);
    line += " " + tensor->dtype + " " + shape_text(tensor->shape) + " " +
            sha256_hex(bytes.data(), bytes.size());
  }
  return line + "\n";
}

}  // namespace

LoraAdapter::LoraAdapter(const std::filesystem::path& file, const TensorShapes& model)
    : file_(file), keys_(map_lora_keys(file_.bytes(), model, file.string())) {
  Sha256 hash;
  for (const LoraPair& pair : keys_.pairs) {
    const std::string line = content_line(pair, file_.bytes(), file.string());
    hash.update(line.data(), line.size());
  }
  sha256_ = hash.hex_digest();
}

at::Tensor LoraAdapter::read(const StoredTensor& tensor) const {
  return copy_numbers(tensor, file_.bytes()).flatten(1);
}

void LoraAdapter::fuse(const std::string& name, double scale, at::Tensor& weight,
                       ThreadPool& pool) const {
  const auto& pairs = keys_.pairs;
  const auto pair = std::lower_bound(
      pairs.begin(), pairs.end(), name,
      [](const LoraPair& one, const std::string& wanted) { return one.weight < wanted; });
  if (pair == pairs.end() || pair->weight != name) return;
  const at::ScalarType dtype = weight.scalar_type();
  const at::Tensor a_RK = read(pair->a).to(dtype).to(at::kFloat);
  const at::Tensor b_NR = read(pair->b).to(dtype).to(at::kFloat);
  const at::Tensor weight_NK = weight.view({b_NR.size(0), a_RK.size(1)});
  const double factor = scale * pair->alpha_over_rank;
  const int64_t rows = weight_NK.size(0);
  pool.run(ceil_div(rows, kBlockRows), [&](int64_t unit) {
    const int64_t begin = unit * kBlockRows;
    const int64_t size = std::min(kBlockRows, rows - begin);
    const at::Tensor change = at::mm(b_NR.narrow(0, begin, size), a_RK).mul_(factor);
    weight_NK.narrow(0, begin, size).add_(change.to(dtype));
  });
  for (const StoredTensor* tensor : {&pair->a, &pair->b})
    file_.drop_pages(tensor->begin, tensor->end - tensor->begin);
}

WeightPatch fuse_loras(std::vector<ScaledLora> loras, ThreadPool& pool) {
  // Shared, because a std::function must be copyable and a mapped file is not.
  const auto shared = std::make_shared<const std::vector<ScaledLora>>(std::move(loras));
  return [shared, &pool](const std::string& name, at::Tensor& weight) {
    for (const ScaledLora& lora : *shared) lora.adapter.fuse(name, lora.scale, weight, pool);
  };
}

}  // namespace cogvx
