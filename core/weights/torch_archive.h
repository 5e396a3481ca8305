#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/weights/mapped_file.h"
#include "core/weights/tensor_source.h"
#include "core/weights/torch_pickle.h"

namespace cogvx {

// A `.pt` file, the zip archive that torch.save writes, mapped: its state dict's tensors. The zip's
// directory is read by libtorch, its pickle by parse_torch_pickle.
class TorchArchive : public TensorSource {
 public:
  // Reads no tensor. Throws DataError.
  explicit TorchArchive(const std::filesystem::path& file);

  const std::vector<SourceTensor>& tensors() const override { return tensors_; }
  at::Tensor read_rows(size_t index, RowRange rows) const override;
  std::string label(size_t) const override { return file_.path().string(); }

 private:
  MappedFile file_;
  TorchState state_;
  std::vector<size_t> storage_begin_;  // in the file
  std::vector<SourceTensor> tensors_;
};

}  // namespace cogvx
