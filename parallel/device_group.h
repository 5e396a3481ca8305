#pragma once

#include <memory>

#include "parallel/group.h"

namespace cogvx {

// Two groups of the same ranks as one: CPU tensors move over `host`, all others over `device`.
// Whether a tensor is on the CPU must be the same on every rank of an operation.
class DeviceGroup final : public Group {
 public:
  DeviceGroup(std::unique_ptr<Group> host, std::unique_ptr<Group> device);

  int rank() const override { return host_->rank(); }
  int size() const override { return host_->size(); }
  Transfer begin_all_to_all(const at::Tensor& send, const Splits& send_splits,
                            const at::Tensor& recv, const Splits& recv_splits) override;
  void broadcast(const at::Tensor& bytes, int root) override;
  // Of the host, once the device's operations of this rank have ended.
  void barrier() override;
  void settle() override { device_->settle(); }

 private:
  Group& of(const at::Tensor& tensor) { return tensor.device().is_cpu() ? *host_ : *device_; }

  std::unique_ptr<Group> host_;
  std::unique_ptr<Group> device_;
};

}  // namespace cogvx
