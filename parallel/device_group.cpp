#include "parallel/device_group.h"

#include <stdexcept>
#include <string>
#include <utility>

namespace cogvx {

DeviceGroup::DeviceGroup(std::unique_ptr<Group> host, std::unique_ptr<Group> device)
    : host_(std::move(host)), device_(std::move(device)) {
  if (host_->rank() != device_->rank() || host_->size() != device_->size())
    throw std::logic_error("device group: the device's place is rank " +
                           std::to_string(device_->rank()) + " of " +
                           std::to_string(device_->size()) + ", wanted the host's, rank " +
                           std::to_string(host_->rank()) + " of " + std::to_string(host_->size()));
}

Transfer DeviceGroup::begin_all_to_all(const at::Tensor& send, const Splits& send_splits,
                                       const at::Tensor& recv, const Splits& recv_splits) {
  if (send.device() != recv.device())
    throw std::logic_error("device group: an all-to-all sends from " + send.device().str() +
                           " and receives on " + recv.device().str() + ", wanted one device");
  return of(send).begin_all_to_all(send, send_splits, recv, recv_splits);
}

void DeviceGroup::broadcast(const at::Tensor& bytes, int root) { of(bytes).broadcast(bytes, root); }

void DeviceGroup::barrier() {
  device_->settle();
  host_->barrier();
}

}  // namespace cogvx
