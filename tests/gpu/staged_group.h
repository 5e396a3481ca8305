#pragma once

#include <memory>

#include "parallel/group.h"

namespace cogvx::test {

// Several ranks on one GPU, which NCCL refuses: a group of the host that moves a device's tensors
// as well, each through a copy on the host.
class StagedGroup final : public Group {
 public:
  explicit StagedGroup(std::unique_ptr<Group> host) : host_(std::move(host)) {}

  int rank() const override { return host_->rank(); }
  int size() const override { return host_->size(); }
  Transfer begin_all_to_all(const at::Tensor& send, const Splits& send_splits,
                            const at::Tensor& recv, const Splits& recv_splits) override;
  void broadcast(const at::Tensor& bytes, int root) override;
  void barrier() override { host_->barrier(); }

 private:
  std::unique_ptr<Group> host_;
};

}  // namespace cogvx::test
