#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/Work.hpp>
#include <vector>

#include "parallel/nccl_group.h"

// A c10d backend that writes down what it is asked for, with works that end when a script says so.
namespace cogvx::test {

class FakeTime {
 public:
  using Clock = std::chrono::steady_clock;

  GroupClock clock();
  void pass(Clock::duration time) { now_ += time; }
  // The next sleep takes this much longer, as if the process had been stopped.
  void oversleep(Clock::duration time) { oversleep_ = time; }
  Clock::time_point now() const { return now_; }
  int sleeps() const { return sleeps_; }

 private:
  Clock::time_point now_{};
  Clock::duration oversleep_{};
  int sleeps_ = 0;
};

// What one rank's backends saw, over all its groups.
struct Log {
  std::vector<std::string> operations;  // "sequence: broadcast from 1"
  // Names of groups with an operation that was begun and not yet waited for.
  std::vector<std::string> under_way;
  // Operations that began while another group's was under way.
  std::vector<std::string> overlaps;
};

struct Script {
  // When the operation ends, after its begin; without, when it was waited for.
  std::optional<std::chrono::milliseconds> lasts{};
  std::string begin_error{};
  std::string wait_error{};
  std::string work_error{};  // seen once it ended
};

class RecordingBackend final : public c10d::Backend {
 public:
  struct Parts {
    std::string name;
    Group* mover = nullptr;  // moves the bytes; null: none move
    std::shared_ptr<Log> log{};
    FakeTime* time = nullptr;
  };
  RecordingBackend(int rank, int size, Parts parts);

  // For the operations to come.
  void set_script(const Script& script) { script_ = script; }
  int aborts() const { return aborts_; }
  int waits() const { return waits_; }
  std::vector<int64_t> last_send_splits, last_recv_splits;

  c10::intrusive_ptr<c10d::Work> alltoall_base(at::Tensor& recv, at::Tensor& send,
                                               std::vector<int64_t>& recv_splits,
                                               std::vector<int64_t>& send_splits,
                                               const c10d::AllToAllOptions&) override;
  c10::intrusive_ptr<c10d::Work> broadcast(std::vector<at::Tensor>& tensors,
                                           const c10d::BroadcastOptions& options) override;
  void abort() override { ++aborts_; }

 private:
  friend class RecordedWork;
  c10::intrusive_ptr<c10d::Work> begin(const std::string& what, Transfer transfer);

  Parts parts_;
  Script script_;
  std::atomic<int> aborts_ = 0;  // also from the group's own thread
  int waits_ = 0;
};

}  // namespace cogvx::test
