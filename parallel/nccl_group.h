#pragma once

#include <c10/core/Device.h>
#include <c10/util/intrusive_ptr.h>

#include <chrono>
#include <functional>
#include <memory>
#include <thread>

#include "parallel/group.h"
#include "parallel/rendezvous.h"

namespace c10d {
class Backend;
}

namespace cogvx {

// What a group knows of time; tests bring their own.
struct GroupClock {
  std::function<std::chrono::steady_clock::time_point()> now = std::chrono::steady_clock::now;
  std::function<void(std::chrono::microseconds)> sleep = [](auto time) {
    std::this_thread::sleep_for(time);
  };
};

struct NcclOptions {
  at::Device device = at::Device(at::kCUDA, 0);  // of the tensors, all of them
  // How long operations may be under way without any of them ending.
  std::chrono::seconds patience{600};
  // A thread of the group's own looks this often, so that a host that waits in a copy from the
  // device is freed too; several times within `patience`, 0: there is none.
  std::chrono::milliseconds watch_every{1000};
  GroupClock clock{};
};

// A group whose tensors live on a device and whose operations run in the order of a stream, through
// c10d. What a Transfer's wait() and broadcast() order is the current stream, not the host: neither
// stops it. Only settle() and barrier() do, for `patience` at most. An operation that fails or does
// not end ends the group: its work is aborted, so that nobody waits for the device for ever, and
// every call from then on throws DistributedError that names it.
class NcclGroup final : public Group {
 public:
  // Of two ranks or more.
  NcclGroup(c10::intrusive_ptr<c10d::Backend> backend, GroupPlace place, NcclOptions options);
  ~NcclGroup() override;
  NcclGroup(const NcclGroup&) = delete;
  NcclGroup& operator=(const NcclGroup&) = delete;

  int rank() const override { return place_.rank; }
  int size() const override { return place_.size; }
  Transfer begin_all_to_all(const at::Tensor& send, const Splits& send_splits,
                            const at::Tensor& recv, const Splits& recv_splits) override;
  void broadcast(const at::Tensor& bytes, int root) override;
  // A byte from everyone to everyone: c10d's own would wait on the host without an end.
  void barrier() override;
  void settle() override;

 private:
  struct State;

  void check_device(const at::Tensor& tensor) const;

  GroupPlace place_;
  NcclOptions options_;
  std::shared_ptr<State> state_;  // a Transfer may outlive the group
  std::jthread watch_;
};

}  // namespace cogvx
