#pragma once

#include <c10/util/intrusive_ptr.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "parallel/group.h"

namespace c10d {
class Backend;
class Store;
}  // namespace c10d

namespace cogvx {

// One process among those of a group.
struct GroupPlace {
  std::string name;  // the same for all members, another for every group of a run
  int rank = 0;
  int size = 1;
};

struct NcclOptions;

// Makes a member of a group whose tensors are on a device; the store is the group's own. All
// members call it at the same time.
using MakeBackend = std::function<c10::intrusive_ptr<c10d::Backend>(
    const c10::intrusive_ptr<c10d::Store>& store, const GroupPlace& place)>;

// Where the processes of one run find each other. `patience` is for processes that are still
// starting; once a group is made, only the death of a member ends a wait in it. The program must
// ignore SIGPIPE.
class Rendezvous {
 public:
  struct Address {
    std::string host;
    uint16_t port = 0;
  };

  // Processes of this machine, by a file of their own that is not there yet: needs no port, so none
  // can be taken.
  static Rendezvous by_file(const std::filesystem::path& file, int world,
                            std::chrono::seconds patience);
  // Processes of several machines: one listens, be it their launcher, the others call. Throws
  // DistributedError.
  struct Caller {
    int rank = 0;
    int world = 1;
    bool one_machine = true;
    bool listens = false;
    std::string attempt{};  // of a launcher that starts the processes again beside the old store
    std::chrono::seconds patience{};
    std::string interface {
    };  // of the network to be used; empty: the one that leads to the address
  };
  static Rendezvous at_address(const Address& address, const Caller& caller);

  // A group of processes that move bytes between CPU tensors. Throws DistributedError where they do
  // not come together in time.
  std::unique_ptr<Group> make_gloo_group(const GroupPlace& place) const;
  // The same with device tensors too, over a backend from `make`, which has moved bytes among all
  // members when this returns. A group of one needs none.
  std::unique_ptr<Group> make_device_group(const GroupPlace& place, const MakeBackend& make,
                                           const NcclOptions& options) const;

 private:
  struct Meeting;
  explicit Rendezvous(std::shared_ptr<const Meeting> meeting) : meeting_(std::move(meeting)) {}

  std::shared_ptr<const Meeting> meeting_;
};

}  // namespace cogvx
