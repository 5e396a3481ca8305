#include "parallel/agreement.h"

#include <ATen/ops/empty.h>

#include <cstring>
#include <vector>

#include "core/base/errors.h"
#include "core/base/short_hash.h"

namespace cogvx {

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
                           " has " + hash_text(values[rank]) + ", rank 0 has " +
                           hash_text(values[0]));
  }
}

}  // namespace cogvx
