#include "parallel/rendezvous.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <mutex>
#include <torch/csrc/distributed/c10d/FileStore.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <utility>

#include "core/base/errors.h"
#include "parallel/device_group.h"
#include "parallel/nccl_group.h"

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

// The address of this machine that its connections to `target` come from. A machine's own name
// often leads to its loopback address, which no other machine reaches.
std::string local_address_towards(const Rendezvous::Address& target) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_DGRAM;
  const std::string port = std::to_string(target.port);
  if (getaddrinfo(target.host.c_str(), port.c_str(), &hints, &found) != 0)
    throw std::runtime_error("the name " + target.host + " has no address");
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> list(found, freeaddrinfo);
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
    const int socket_fd = socket(entry->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (socket_fd < 0) continue;
    sockaddr_storage own{};
    socklen_t size = sizeof own;
    char text[NI_MAXHOST] = {};
    // Connecting a datagram socket sends nothing; it chooses the way.
    const bool known = connect(socket_fd, entry->ai_addr, entry->ai_addrlen) == 0 &&
                       getsockname(socket_fd, reinterpret_cast<sockaddr*>(&own), &size) == 0 &&
                       getnameinfo(reinterpret_cast<sockaddr*>(&own), size, text, sizeof text,
                                   nullptr, 0, NI_NUMERICHOST) == 0;
    close(socket_fd);
    if (known) return text;
  }
  throw std::runtime_error("there is no way from this machine to " + target.host);
}

bool is_loopback(const std::string& address) {
  return address == "::1" || address.starts_with("127.");
}

// By which the others reach this process. Where rank 0's name leads a process to its own loopback
// address, the address on the way to one that knows better serves.
std::string own_address(const Rendezvous::Address& target, const Rendezvous::Caller& caller,
                        c10d::Store& store) {
  const std::string address = local_address_towards(target);
  if (caller.one_machine) return address;
  const auto name = [](int rank) { return "address/" + std::to_string(rank); };
  store.set(name(caller.rank), address);
  for (int rank = 0; is_loopback(address) && rank < caller.world; ++rank) {
    const std::vector<uint8_t> other = store.get(name(rank));
    const std::string host(other.begin(), other.end());
    if (!is_loopback(host)) return local_address_towards({host, target.port});
  }
  return address;
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
  std::string own_address;  // by which the others reach this process
  std::string interface;    // instead of the address, if it is not empty
};

Rendezvous Rendezvous::by_file(const std::filesystem::path& file, int world,
                               std::chrono::seconds patience) {
  auto store = c10::make_intrusive<c10d::FileStore>(file.string(), world);
  store->setTimeout(patience);
  return Rendezvous(std::make_shared<Meeting>(Meeting{store, patience, "127.0.0.1", ""}));
}

Rendezvous Rendezvous::at_address(const Address& address, const Caller& caller) {
  c10d::TCPStoreOptions options;
  options.port = address.port;
  options.isServer = caller.listens;
  options.numWorkers = caller.world;
  options.waitWorkers = false;
  options.timeout = caller.patience;
  try {
    const auto store = c10::make_intrusive<c10d::PrefixStore>(
        "cogvx-" + caller.attempt, c10::make_intrusive<c10d::TCPStore>(address.host, options));
    return Rendezvous(std::make_shared<Meeting>(Meeting{
        store, caller.patience,
        caller.interface.empty() ? own_address(address, caller, *store) : "", caller.interface}));
  } catch (const std::exception& error) {
    const std::string place = address.host + ":" + std::to_string(address.port);
    throw DistributedError("rank " + std::to_string(caller.rank) +
                           (caller.listens ? " cannot listen at " + place + ": "
                                           : " cannot reach the others at " + place + ": ") +
                           first_line(error) +
                           (caller.listens ? "; set MASTER_PORT to a port that is free"
                                           : "; are MASTER_ADDR and MASTER_PORT rank 0's?"));
  }
}

std::unique_ptr<Group> Rendezvous::make_gloo_group(const GroupPlace& place) const {
  switch_off_flight_recorder();
  auto options = c10d::ProcessGroupGloo::Options::create(meeting_->patience);
  // Transfers end in the order in which they were begun, so that the first of several has all of
  // the way and is there before the next.
  options->threads = 1;
  try {
    options->devices.push_back(
        meeting_->interface.empty()
            ? c10d::ProcessGroupGloo::createDeviceForHostname(meeting_->own_address)
            : c10d::ProcessGroupGloo::createDeviceForInterface(meeting_->interface));
    auto store = c10::make_intrusive<c10d::PrefixStore>(place.name, meeting_->store);
    return std::make_unique<GlooGroup>(
        c10::make_intrusive<c10d::ProcessGroupGloo>(store, place.rank, place.size, options), place);
  } catch (const std::exception& error) {
    throw DistributedError("group '" + place.name + "', rank " + std::to_string(place.rank) +
                           " of " + std::to_string(place.size) +
                           ": the processes do not come together: " + first_line(error));
  }
}

std::unique_ptr<Group> Rendezvous::make_device_group(const GroupPlace& place,
                                                     const MakeBackend& make,
                                                     const NcclOptions& options) const {
  if (place.size == 1) return std::make_unique<SingleGroup>();
  auto host = make_gloo_group(place);
  auto store = c10::make_intrusive<c10d::PrefixStore>(place.name + "-device", meeting_->store);
  auto device = std::make_unique<NcclGroup>(make(store, place), place, options);
  // The first operation of a group may hang where later ones would not: better here.
  device->barrier();
  return std::make_unique<DeviceGroup>(std::move(host), std::move(device));
}

}  // namespace cogvx
