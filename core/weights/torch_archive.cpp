#include "core/weights/torch_archive.h"

#include <ATen/ops/as_strided.h>
#include <ATen/ops/from_blob.h>
#include <c10/util/Exception.h>
#include <caffe2/serialize/inline_container.h>
#include <caffe2/serialize/read_adapter_interface.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "core/base/errors.h"
#include "core/base/json.h"
#include "core/base/lfs_pointer.h"
#include "core/weights/safetensors.h"
#include "core/weights/stored_numbers.h"

namespace cogvx {
namespace {

constexpr size_t kMaxPickleBytes = size_t{64} << 20;

// libtorch reads a zip's directory through this.
class MappedBytes : public caffe2::serialize::ReadAdapterInterface {
 public:
  explicit MappedBytes(std::span<const std::byte> bytes) : bytes_(bytes) {}
  size_t size() const override { return bytes_.size(); }
  size_t read(uint64_t at, void* buffer, size_t count, const char*) const override {
    if (at >= bytes_.size()) return 0;
    const size_t found = std::min<size_t>(count, bytes_.size() - at);
    std::memcpy(buffer, bytes_.data() + at, found);
    return found;
  }

 private:
  std::span<const std::byte> bytes_;
};

// The records of a zip archive, none of them compressed.
class Records {
 public:
  Records(std::span<const std::byte> file, std::string label)
      : file_(file), label_(std::move(label)) {
    reader_ = guarded([&] {
      return std::make_unique<caffe2::serialize::PyTorchStreamReader>(
          std::make_shared<MappedBytes>(file_));
    });
  }

  bool contains(const std::string& name) const {
    return guarded([&] { return reader_->hasRecord(name); });
  }
  // A record's bytes in the file.
  std::span<const std::byte> find(const std::string& name) const {
    if (!contains(name)) fail("it has no record " + quoted_excerpt(name));
    return guarded([&] {
      const size_t header = reader_->getRecordHeaderOffset(name);
      const size_t begin = reader_->getRecordOffset(name);
      const size_t size = reader_->getRecordSize(name);
      // Of a local file header, bytes 8 and 9 say how the record is packed; 0 is not at all.
      if (header > file_.size() || file_.size() - header < 10 ||
          file_[header + 8] != std::byte{0} || file_[header + 9] != std::byte{0})
        fail("record " + quoted_excerpt(name) + " is compressed, which torch.save does not do");
      if (begin > file_.size() || size > file_.size() - begin)
        fail("record " + quoted_excerpt(name) + " reaches beyond the file's " +
             std::to_string(file_.size()) + " bytes; is the download complete?");
      return file_.subspan(begin, size);
    });
  }

 private:
  [[noreturn]] void fail(const std::string& what) const { throw DataError(label_ + ": " + what); }

  template <typename Call>
  auto guarded(const Call& call) const -> decltype(call()) {
    try {
      return call();
    } catch (const c10::Error& error) {
      fail("is no archive of torch.save: " + quoted_excerpt(error.what_without_backtrace()) +
           "; is the download complete, and was it saved by PyTorch 1.6 or later?");
    }
  }

  std::span<const std::byte> file_;
  std::string label_;
  std::unique_ptr<caffe2::serialize::PyTorchStreamReader> reader_;
};

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void check_byte_order(const Records& records, const std::string& label) {
  constexpr const char* kRecord = "byteorder";
  if (!records.contains(kRecord)) return;
  const std::string_view order = as_text(records.find(kRecord));
  if (order != "little")
    throw DataError(label + ": its byte order is " + quoted_excerpt(order) + ", wanted 'little'");
}

TorchState read_state(const Records& records, const std::string& label) {
  const std::string_view pickle = as_text(records.find("data.pkl"));
  if (pickle.size() > kMaxPickleBytes) {
    throw DataError(label + ": its data.pkl has " + std::to_string(pickle.size()) +
                    " bytes, too many for a state dict");
  }
  return parse_torch_pickle(pickle, label);
}

bool is_contiguous(const TorchTensor& tensor) {
  int64_t step = 1;
  for (size_t i = tensor.shape.size(); i-- > 0;) {
    if (tensor.shape[i] != 1 && tensor.strides[i] != step) return false;
    step *= tensor.shape[i];
  }
  return true;
}

}  // namespace

TorchArchive::TorchArchive(const std::filesystem::path& file) : file_(file) {
  const std::string name = file.string();
  refuse_lfs_pointer(as_text(file_.bytes()), name);
  const Records records(file_.bytes(), name);
  check_byte_order(records, name);
  state_ = read_state(records, name);
  for (const TorchStorage& storage : state_.storages) {
    const auto bytes = records.find("data/" + storage.key);
    const size_t wanted = static_cast<size_t>(storage.count) * stored_dtype_size(storage.dtype);
    if (bytes.size() != wanted) {
      throw DataError(name + ": storage " + quoted_excerpt(storage.key) + " has " +
                      std::to_string(bytes.size()) + " bytes, its " +
                      std::to_string(storage.count) + " numbers in " + storage.dtype + " want " +
                      std::to_string(wanted));
    }
    storage_begin_.push_back(static_cast<size_t>(bytes.data() - file_.bytes().data()));
  }
  for (const TorchTensor& tensor : state_.tensors)
    tensors_.push_back({tensor.name, state_.storages[tensor.storage].dtype, tensor.shape});
}

at::Tensor TorchArchive::read_rows(size_t index, RowRange rows) const {
  const TorchTensor& tensor = state_.tensors.at(index);
  const TorchStorage& storage = state_.storages[tensor.storage];
  std::vector<int64_t> shape = tensor.shape, strides = tensor.strides;
  if (shape.empty()) shape = {1}, strides = {1};
  shape[0] = rows.size();
  // All that the rows reach, whatever their strides, is copied and then picked from.
  int64_t last = 0;
  for (size_t i = 0; i < shape.size(); ++i) last += std::max<int64_t>(shape[i] - 1, 0) * strides[i];
  const size_t element = stored_dtype_size(storage.dtype);
  const int64_t first = tensor.offset + rows.begin * strides[0];
  StoredTensor reached{.name = tensor.name, .dtype = storage.dtype, .shape = {last + 1}};
  reached.begin = storage_begin_[tensor.storage] + static_cast<size_t>(first) * element;
  reached.end = reached.begin + static_cast<size_t>(last + 1) * element;
  const bool nothing = std::find(shape.begin(), shape.end(), 0) != shape.end();
  if (nothing) reached.end = reached.begin, reached.shape = {0};
  const at::Tensor numbers = copy_numbers(reached, file_.bytes());
  file_.drop_pages(reached.begin, reached.end - reached.begin);
  if (nothing || is_contiguous(tensor)) return numbers.view(shape);
  return at::as_strided(numbers, shape, strides).contiguous();
}

}  // namespace cogvx
