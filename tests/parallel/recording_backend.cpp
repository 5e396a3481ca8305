#include "tests/parallel/recording_backend.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace cogvx::test {

GroupClock FakeTime::clock() {
  return {.now = [this] { return now_; },
          .sleep =
              [this](std::chrono::microseconds time) {
                now_ += time + std::exchange(oversleep_, {});
                ++sleeps_;
              }};
}

class RecordedWork final : public c10d::Work {
 public:
  RecordedWork(RecordingBackend& backend, Transfer transfer)
      : backend_(backend),
        script_(backend.script_),
        transfer_(std::move(transfer)),
        begun_(now()) {}

  bool isCompleted() override {
    return script_.lasts ? now() - begun_ >= *script_.lasts : !transfer_.pending();
  }
  std::exception_ptr exception() const override {
    if (script_.work_error.empty()) return nullptr;
    return std::make_exception_ptr(std::runtime_error(script_.work_error));
  }
  bool wait(std::chrono::milliseconds) override {
    ++backend_.waits_;
    if (!script_.wait_error.empty()) throw std::runtime_error(script_.wait_error);
    if (transfer_.pending()) transfer_.wait();
    if (auto log = backend_.parts_.log) {
      auto& names = log->under_way;
      names.erase(std::find(names.begin(), names.end(), backend_.parts_.name));
    }
    return true;
  }

 private:
  FakeTime::Clock::time_point now() const {
    return backend_.parts_.time ? backend_.parts_.time->now() : FakeTime::Clock::time_point{};
  }

  RecordingBackend& backend_;
  Script script_;
  Transfer transfer_;
  FakeTime::Clock::time_point begun_;
};

RecordingBackend::RecordingBackend(int rank, int size, Parts parts)
    : c10d::Backend(rank, size), parts_(std::move(parts)) {}

c10::intrusive_ptr<c10d::Work> RecordingBackend::alltoall_base(at::Tensor& recv, at::Tensor& send,
                                                               std::vector<int64_t>& recv_splits,
                                                               std::vector<int64_t>& send_splits,
                                                               const c10d::AllToAllOptions&) {
  last_send_splits = send_splits;
  last_recv_splits = recv_splits;
  return begin("all-to-all",
               parts_.mover ? parts_.mover->begin_all_to_all(send, send_splits, recv, recv_splits)
                            : Transfer([] {}));
}

c10::intrusive_ptr<c10d::Work> RecordingBackend::broadcast(std::vector<at::Tensor>& tensors,
                                                           const c10d::BroadcastOptions& options) {
  const int root = static_cast<int>(options.rootRank);
  return begin("broadcast from " + std::to_string(root) + " of " +
                   std::to_string(tensors.front().numel()) + " bytes",
               Transfer([mover = parts_.mover, bytes = tensors.front(), root] {
                 if (mover) mover->broadcast(bytes, root);
               }));
}

c10::intrusive_ptr<c10d::Work> RecordingBackend::begin(const std::string& what, Transfer transfer) {
  if (!script_.begin_error.empty()) throw std::runtime_error(script_.begin_error);
  if (Log* log = parts_.log.get()) {
    const std::string entry = parts_.name + ": " + what;
    for (const std::string& other : log->under_way) {
      if (other != parts_.name)
        log->overlaps.push_back(entry + " while one of " + other + " is under way");
    }
    log->operations.push_back(entry);
    log->under_way.push_back(parts_.name);
  }
  return c10::make_intrusive<RecordedWork>(*this, std::move(transfer));
}

}  // namespace cogvx::test
