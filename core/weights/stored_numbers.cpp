#include "core/weights/stored_numbers.h"

#include <ATen/ops/from_blob.h>

#include <optional>

#include "core/base/errors.h"
#include "core/base/json.h"
#include "core/weights/non_finite.h"

namespace cogvx {
namespace {

std::optional<at::ScalarType> scalar_type(const std::string& dtype) {
  if (dtype == "F32") return at::kFloat;
  if (dtype == "F16") return at::kHalf;
  if (dtype == "BF16") return at::kBFloat16;
  return std::nullopt;
}

}  // namespace

std::span<const std::byte> checked_numbers(const StoredTensor& tensor,
                                           std::span<const std::byte> file,
                                           const std::string& label) {
  if (!scalar_type(tensor.dtype)) {
    throw DataError(label + ": tensor " + quoted_excerpt(tensor.name) + " is " + tensor.dtype +
                    ", wanted F32, F16 or BF16");
  }
  const auto bytes = file.subspan(tensor.begin, tensor.end - tensor.begin);
  // A number that is none would spoil every number of the video, hours later.
  const size_t bad = count_non_finite(bytes, tensor.dtype);
  if (bad == 0) return bytes;
  throw DataError(label + ": tensor " + quoted_excerpt(tensor.name) + " holds " +
                  std::to_string(bad) + " NaN or infinite values of " +
                  std::to_string(bytes.size() / stored_dtype_size(tensor.dtype)) +
                  "; is the file damaged?");
}

at::Tensor view_numbers(const StoredTensor& tensor, std::shared_ptr<const MappedRange> range) {
  const auto* numbers = range->bytes().data();
  // Data may start at any byte.
  if (reinterpret_cast<uintptr_t>(numbers) % stored_dtype_size(tensor.dtype) != 0)
    return copy_numbers(
        {.dtype = tensor.dtype, .shape = tensor.shape, .end = range->bytes().size()},
        range->bytes());
  return at::from_blob(
      const_cast<std::byte*>(numbers), tensor.shape, [range = std::move(range)](void*) {},
      at::TensorOptions().dtype(scalar_type(tensor.dtype).value()));
}

at::Tensor copy_numbers(const StoredTensor& tensor, std::span<const std::byte> file) {
  // A clone through bytes needs no alignment.
  const at::Tensor bytes = at::from_blob(const_cast<std::byte*>(file.data()) + tensor.begin,
                                         {static_cast<int64_t>(tensor.end - tensor.begin)},
                                         at::TensorOptions().dtype(at::kByte));
  return bytes.clone().view(scalar_type(tensor.dtype).value()).view(tensor.shape);
}

}  // namespace cogvx
