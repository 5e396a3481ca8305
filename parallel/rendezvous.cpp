#include "parallel/rendezvous.h"

#include <cstdlib>
#include <mutex>
#include <torch/csrc/distributed/c10d/FileStore.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <utility>

#include "core/base/errors.h"

namespace cogvx {
namespace {

// Of any operation: the time between two of them is computing, of which nobody knows the length.
constexpr std::chrono::hours kForever{24 * 365};

// The first line: libtorch adds a stack trace.
std::string first_line(const std::exception& error) {
  const std::string text = error.what();
  return text.substr(0, text.find('\n'));
}

// c10d keeps a record of every operation in one place that groups of several threads write to
// without a lock; it is read when it is first used.
void switch_off_flight_recorder() {
  static std::once_flag once;
  std::call_once(once, [] { setenv("TORCH_FR_BUFFER_SIZE", "0", /*overwrite=*/1); });
}

class GlooGroup final : public Group {
 public:
  GlooGroup(c10::intrusive_ptr<c10d::ProcessGroupGloo> processes, GroupPlace place)
      : processes_(std::move(processes)), place_(std::move(place)) {}

  int rank() const override { return place_.rank; }
  int size() const override { return place_.size; }

  Transfer begin_all_to_all(const at::Tensor& send, const Splits& send_splits,
                            const at::Tensor& recv, const Splits& recv_splits) override {
    check_all_to_all(size(), send, send_splits, recv, recv_splits);
    // It takes what it is given apart, and must find the tensors alive.
    at::Tensor from = send, to = recv;
    Splits from_splits = send_splits, to_splits = recv_splits;
    c10d::AllToAllOptions options;
    options.timeout = kForever;
    auto work = started("all-to-all", [&] {
      return processes_->alltoall_base(to, from, to_splits, from_splits, options);
    });
    return Transfer([this, work, from, to] { finish("all-to-all", *work); });
  }

  void broadcast(const at::Tensor& bytes, int root) override {
    check_broadcast(size(), bytes, root);
    // Gloo refuses a row of nothing.
    if (bytes.numel() == 0) return;
    std::vector<at::Tensor> tensors = {bytes};
    c10d::BroadcastOptions options;
    options.rootRank = root;
    options.timeout = kForever;
    finish("broadcast",
           *started("broadcast", [&] { return processes_->broadcast(tensors, options); }));
  }

  void barrier() override {
    c10d::BarrierOptions options;
    options.timeout = kForever;
    finish("barrier", *started("barrier", [&] { return processes_->barrier(options); }));
  }

 private:
  template <typename F>
  c10::intrusive_ptr<c10d::Work> started(const char* operation, const F& begin) const {
    try {
      return begin();
    } catch (const std::exception& error) {
      fail(operation, error);
    }
  }
  void finish(const char* operation, c10d::Work& work) const {
    try {
      work.wait();
    } catch (const std::exception& error) {
      fail(operation, error);
    }
  }
  [[noreturn]] void fail(const char* operation, const std::exception& error) const {
    throw DistributedError(
        "group '" + place_.name + "', rank " + std::to_string(place_.rank) + " of " +
        std::to_string(place_.size) + ": " + operation +
        " failed, most likely because another process ended: " + first_line(error));
  }

  c10::intrusive_ptr<c10d::ProcessGroupGloo> processes_;
  GroupPlace place_;
};

}  // namespace

struct Rendezvous::Meeting {
  c10::intrusive_ptr<c10d::Store> store;
  std::chrono::milliseconds patience;
  bool one_machine;
};

Rendezvous Rendezvous::by_file(const std::filesystem::path& file, int world,
                               std::chrono::seconds patience) {
  auto store = c10::make_intrusive<c10d::FileStore>(file.string(), world);
  store->setTimeout(patience);
  return Rendezvous(std::make_shared<Meeting>(Meeting{store, patience, true}));
}

Rendezvous Rendezvous::at_address(const Address& address, int rank, int world,
                                  std::chrono::seconds patience) {
  c10d::TCPStoreOptions options;
  options.port = address.port;
  options.isServer = rank == 0;
  options.numWorkers = world;
  options.waitWorkers = false;
  options.timeout = patience;
  try {
    auto store = c10::make_intrusive<c10d::TCPStore>(address.host, options);
    return Rendezvous(std::make_shared<Meeting>(Meeting{store, patience, false}));
  } catch (const std::exception& error) {
    throw DistributedError("rank " + std::to_string(rank) +
                           (rank == 0 ? " cannot listen at " : " cannot reach rank 0 at ") +
                           address.host + ":" + std::to_string(address.port) + ": " +
                           first_line(error));
  }
}

std::unique_ptr<Group> Rendezvous::make_gloo_group(const GroupPlace& place) const {
  switch_off_flight_recorder();
  auto options = c10d::ProcessGroupGloo::Options::create(meeting_->patience);
  try {
    options->devices.push_back(meeting_->one_machine
                                   ? c10d::ProcessGroupGloo::createDeviceForHostname("127.0.0.1")
                                   : c10d::ProcessGroupGloo::createDefaultDevice());
    auto store = c10::make_intrusive<c10d::PrefixStore>(place.name, meeting_->store);
    return std::make_unique<GlooGroup>(
        c10::make_intrusive<c10d::ProcessGroupGloo>(store, place.rank, place.size, options), place);
  } catch (const std::exception& error) {
    throw DistributedError("group '" + place.name + "', rank " + std::to_string(place.rank) +
                           " of " + std::to_string(place.size) +
                           ": the processes do not come together: " + first_line(error));
  }
}

}  // namespace cogvx
