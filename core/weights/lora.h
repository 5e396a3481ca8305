#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <string>
#include <vector>

#include "core/base/thread_pool.h"
#include "core/weights/lora_keys.h"
#include "core/weights/mapped_file.h"
#include "core/weights/weight_map.h"

namespace cogvx {

// One LoRA file, matched with the model whose weights it changes.
class LoraAdapter {
 public:
  // Maps the file, matches its keys (map_lora_keys) and reads all it uses once. Throws DataError,
  // also where a number is NaN or infinite.
  LoraAdapter(const std::filesystem::path& file, const TensorShapes& model);

  const std::filesystem::path& path() const { return file_.path(); }
  const std::vector<LoraPair>& pairs() const { return keys_.pairs; }
  const std::vector<std::string>& unmatched() const { return keys_.unmatched; }
  // SHA-256 over what it adds to which tensor; the naming and what was not matched do not count.
  const std::string& content_sha256() const { return sha256_; }

  // weight[out, in...] += scale * alpha_over_rank * B A, in place, where the adapter has a pair for
  // the tensor of this name. A and B are rounded to the weight's dtype, their product and its scale
  // are computed in fp32, rounded, and added in the weight's dtype, as diffusers does on a CPU.
  // Units: blocks of 64 rows.
  void fuse(const std::string& name, double scale, at::Tensor& weight, ThreadPool& pool) const;

 private:
  at::Tensor read(const StoredTensor& tensor) const;

  MappedFile file_;
  LoraKeys keys_;
  std::string sha256_;
};

struct ScaledLora {
  LoraAdapter adapter;
  double scale = 1;
};

// For WeightMap::set_patch: fuses the adapters in their order. The pool must outlive it.
WeightPatch fuse_loras(std::vector<ScaledLora> loras, ThreadPool& pool);

}  // namespace cogvx
