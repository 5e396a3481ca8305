#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/base/shapes.h"
#include "core/weights/background_hasher.h"
#include "core/weights/mapped_file.h"
#include "core/weights/safetensors.h"

namespace cogvx {

// Changes a tensor of this name as it is taken.
using WeightPatch = std::function<void(const std::string& name, at::Tensor& tensor)>;

// The tensors of one component of a checkpoint (transformer/, vae/, text_encoder/), mapped from one
// file or from the shards that `<stem>.safetensors.index.json` names. Each tensor is taken exactly
// once.
class WeightMap {
 public:
  // Maps the files and checks every header and the index; reads no data. Throws DataError.
  WeightMap(const std::filesystem::path& component_dir, const std::string& stem);

  // The tensor as F32, F16 or BF16 was stored, converted to `dtype` in memory of its own; the
  // file's pages are given back. Throws DataError when it is missing, taken already, of another
  // shape or of an unsupported dtype, or holds NaN or infinity.
  at::Tensor take(const std::string& name, at::IntArrayRef shape, at::ScalarType dtype);
  // The same for what is packed or picked from at once and then let go: where nothing has to change
  // it lies in the file still, read-only.
  at::Tensor lend(const std::string& name, at::IntArrayRef shape, at::ScalarType dtype);
  // Has every tensor whose name starts so read from disk, beside whatever is done meanwhile.
  void read_ahead(const std::string& prefix) const;
  // A tensor that a checkpoint may hold but the model does not use. It can still be taken.
  void ignore(const std::string& name);
  // The same for every tensor whose name starts so: a part of the component this run does not need.
  void ignore_prefix(const std::string& prefix);
  bool contains(const std::string& name) const { return tensors_.contains(name); }
  TensorShapes shapes() const;
  // All tensors as they are stored, in the order of their names.
  std::vector<StoredTensor> stored() const;
  // Rows of a tensor along its first dimension, as stored, without taking it; no check but that it
  // holds F32, F16 or BF16. Of a scalar there is one row.
  at::Tensor copy_rows(const std::string& name, RowRange rows) const;
  // The file that holds it.
  std::string path_of(const std::string& name) const { return label(tensors_.at(name)); }

  // Of all tensors taken from now on, after their conversion. What is hashed is what is stored.
  void set_patch(WeightPatch patch) { patch_ = std::move(patch); }

  // The dtype most of the bytes are stored in: "F32", "F16" or "BF16".
  std::string stored_dtype() const;
  // To be called after the last take: throws DataError that names what is left over.
  void finish() const;
  // SHA-256 over names, dtypes, shapes and contents of all tensors taken, whatever the sharding;
  // waits for those that are being hashed still.
  std::string content_sha256() const;

 private:
  struct Place {
    size_t file = 0;
    StoredTensor stored;
    bool taken = false;
    bool ignored = false;
    std::string sha256;
  };
  void map_file(const std::string& file_name);
  void map_shards(const std::filesystem::path& index_path);
  std::string label(const Place& place) const;
  Place& untaken(const std::string& name, at::IntArrayRef shape);
  at::Tensor read(Place& place);

  std::filesystem::path dir_;
  std::vector<std::shared_ptr<const MappedFile>> files_;
  std::map<std::string, Place> tensors_;
  WeightPatch patch_;
  std::unique_ptr<BackgroundHasher> hasher_;  // from the first tensor on; last, it writes to Places
};

}  // namespace cogvx
