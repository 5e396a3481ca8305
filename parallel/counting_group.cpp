#include "parallel/counting_group.h"

#include "parallel/bytes.h"

namespace cogvx {

Transfer CountingGroup::begin_all_to_all(const at::Tensor& send, const Splits& send_splits,
                                         const at::Tensor& recv, const Splits& recv_splits) {
  Transfer transfer = group_.begin_all_to_all(send, send_splits, recv, recv_splits);
  bytes_sent_ += total(send_splits) - send_splits[rank()];
  return transfer;
}

void CountingGroup::broadcast(const at::Tensor& bytes, int root) {
  group_.broadcast(bytes, root);
  if (root == rank()) bytes_sent_ += bytes.numel() * (size() - 1);
}

}  // namespace cogvx
