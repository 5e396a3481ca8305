#include "tests/gpu/staged_group.h"

#include <ATen/ATen.h>

namespace cogvx::test {

Transfer StagedGroup::begin_all_to_all(const at::Tensor& send, const Splits& send_splits,
                                       const at::Tensor& recv, const Splits& recv_splits) {
  if (recv.is_cpu()) return host_->begin_all_to_all(send, send_splits, recv, recv_splits);
  const at::Tensor here = at::empty(recv.sizes(), at::TensorOptions().dtype(recv.dtype()));
  auto transfer = std::make_shared<Transfer>(
      host_->begin_all_to_all(send.cpu(), send_splits, here, recv_splits));
  return Transfer([transfer, here, recv] {
    transfer->wait();
    recv.copy_(here);
  });
}

void StagedGroup::broadcast(const at::Tensor& bytes, int root) {
  if (bytes.is_cpu()) return host_->broadcast(bytes, root);
  const at::Tensor here = bytes.cpu();
  host_->broadcast(here, root);
  bytes.copy_(here);
}

}  // namespace cogvx::test
