#include "parallel/nccl_group.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/Work.hpp>
#include <utility>

#include "core/base/errors.h"

namespace cogvx {
namespace {

constexpr std::chrono::microseconds kPoll{100};

// The first line: libtorch adds a stack trace.
std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

std::string text_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& known) {
    return first_line(known.what());
  } catch (...) {
    return "an error without a text";
  }
}

using Clock = std::chrono::steady_clock;

}  // namespace

// What is under way, shared with the transfers and with the thread that looks after the group.
struct NcclGroup::State {
  struct Operation {
    std::string name;
    c10::intrusive_ptr<c10d::Work> work;
  };

  c10::intrusive_ptr<c10d::Backend> backend;
  GroupPlace place;
  std::chrono::seconds patience;
  GroupClock clock;

  std::mutex mutex;
  std::deque<Operation> pending;  // in the order in which they run
  int64_t begun = 0;
  Clock::time_point last_look{};
  Clock::duration silent{};            // since the last operation that ended, while others ran
  std::optional<std::string> failure;  // of the group, for good

  template <typename F>
  Operation begin(const char* kind, const F& call) {
    const std::lock_guard lock(mutex);
    poll();
    throw_failure();
    Operation operation{kind + (" (operation " + std::to_string(++begun) + ")"), {}};
    try {
      operation.work = call();
    } catch (...) {
      end(operation.name + " cannot begin: " + text_of(std::current_exception()));
      throw_failure();
    }
    if (pending.empty()) {
      silent = {};
      last_look = clock.now();
    }
    pending.push_back(operation);
    return operation;
  }

  // The current stream waits, not the host.
  void order(const Operation& operation) {
    try {
      operation.work->wait();
    } catch (...) {
      const std::lock_guard lock(mutex);
      end(operation.name + " failed: " + text_of(std::current_exception()));
    }
    const std::lock_guard lock(mutex);
    throw_failure();
  }

  // With the lock held, as the rest.
  void poll() {
    if (failure) return;
    const Clock::time_point now = clock.now();
    // A time in which nobody looked counts for less: this process may have been stopped itself.
    silent += std::min<Clock::duration>(now - last_look, Clock::duration(patience) / 2);
    last_look = now;
    for (; !pending.empty() && pending.front().work->isCompleted(); pending.pop_front()) {
      silent = {};
      const Operation& ended = pending.front();
      if (const auto error = ended.work->exception())
        return end(ended.name + " failed: " + text_of(error));
    }
    if (!pending.empty() && silent > patience)
      end(pending.front().name + " has not ended after " + std::to_string(patience.count()) +
          " s, wanted all ranks in it; another process hangs or is slower than that: see its "
          "messages, or raise --dist-timeout");
  }

  void end(const std::string& what) {
    if (failure) return;
    failure = "group '" + place.name + "', rank " + std::to_string(place.rank) + " of " +
              std::to_string(place.size) + ": " + what;
    try {
      backend->abort();
    } catch (...) {
      *failure += "; nor can it be aborted: " + text_of(std::current_exception());
    }
    pending.clear();
  }

  void throw_failure() const {
    if (failure) throw DistributedError(*failure);
  }
};

NcclGroup::NcclGroup(c10::intrusive_ptr<c10d::Backend> backend, GroupPlace place,
                     NcclOptions options)
    : place_(std::move(place)),
      options_(std::move(options)),
      state_(
          std::make_shared<State>(std::move(backend), place_, options_.patience, options_.clock)) {
  if (place_.size < 2)
    throw std::logic_error("group '" + place_.name + "': size is " + std::to_string(place_.size) +
                           ", wanted 2 or more");
  if (options_.watch_every.count() == 0) return;
  watch_ = std::jthread([state = state_, every = options_.watch_every](std::stop_token stop) {
    std::unique_lock lock(state->mutex);
    std::condition_variable_any wake;
    while (!wake.wait_for(lock, stop, every, [&] { return stop.stop_requested(); })) state->poll();
  });
}

NcclGroup::~NcclGroup() = default;

void NcclGroup::check_device(const at::Tensor& tensor) const {
  if (tensor.device() != options_.device)
    throw std::logic_error("group '" + place_.name + "': a tensor on " + tensor.device().str() +
                           ", wanted " + options_.device.str());
}

Transfer NcclGroup::begin_all_to_all(const at::Tensor& send, const Splits& send_splits,
                                     const at::Tensor& recv, const Splits& recv_splits) {
  check_all_to_all(size(), send, send_splits, recv, recv_splits);
  check_device(send);
  check_device(recv);
  // A rank that moves nothing begins all the same: the others count operations.
  const auto operation = state_->begin("all-to-all", [&] {
    at::Tensor from = send, to = recv;
    Splits from_splits = send_splits, to_splits = recv_splits;
    return state_->backend->alltoall_base(to, from, to_splits, from_splits,
                                          c10d::AllToAllOptions());
  });
  // The tensors stay alive with it.
  return Transfer([state = state_, operation, send, recv] { state->order(operation); });
}

void NcclGroup::broadcast(const at::Tensor& bytes, int root) {
  check_broadcast(size(), bytes, root);
  check_device(bytes);
  if (bytes.numel() == 0) return;
  state_->order(state_->begin("broadcast", [&] {
    std::vector<at::Tensor> tensors = {bytes};
    c10d::BroadcastOptions options;
    options.rootRank = root;
    return state_->backend->broadcast(tensors, options);
  }));
}

void NcclGroup::barrier() {
  const at::TensorOptions bytes = at::TensorOptions().dtype(at::kByte).device(options_.device);
  const at::Tensor send = at::empty({size()}, bytes), recv = at::empty({size()}, bytes);
  const Splits one_each(size(), 1);
  all_to_all(send, one_each, recv, one_each);
  settle();
}

void NcclGroup::settle() {
  for (;;) {
    {
      const std::lock_guard lock(state_->mutex);
      state_->poll();
      state_->throw_failure();
      if (state_->pending.empty()) return;
    }
    options_.clock.sleep(kPoll);
  }
}

}  // namespace cogvx
