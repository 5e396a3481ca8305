#include "parallel/agreement.h"

#include <ATen/ops/empty.h>

#include <cstdio>
#include <cstring>

#include "core/base/errors.h"
#include "core/base/sha256.h"

namespace cogvx {
namespace {

std::string hexadecimal(uint64_t value) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value));
  return text;
}

}  // namespace

void check_agreement(Group& group, const std::string& what, uint64_t value) {
  const at::TensorOptions bytes = at::TensorOptions().dtype(at::kByte);
  const at::Tensor own = at::empty({sizeof value}, bytes);
  const at::Tensor all = at::empty({group.size() * static_cast<int64_t>(sizeof value)}, bytes);
  std::memcpy(own.mutable_data_ptr(), &value, sizeof value);
  group.all_gather_uneven(own, Splits(group.size(), sizeof value), all);
  std::vector<uint64_t> values(group.size());
  std::memcpy(values.data(), all.const_data_ptr(), all.nbytes());
  for (int rank = 1; rank < group.size(); ++rank) {
    if (values[rank] == values[0]) continue;
    throw DistributedError(what + " differs between processes: rank " + std::to_string(rank) +
                           " has " + hexadecimal(values[rank]) + ", rank 0 has " +
                           hexadecimal(values[0]));
  }
}

uint64_t short_hash(const void* data, size_t size) {
  return std::stoull(sha256_hex(data, size).substr(0, 16), nullptr, 16);
}

uint64_t short_hash(const at::Tensor& tensor) {
  const at::Tensor packed = tensor.contiguous();
  return short_hash(packed.const_data_ptr(), packed.nbytes());
}

}  // namespace cogvx
