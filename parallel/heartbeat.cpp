#include "parallel/heartbeat.h"

#include <signal.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "parallel/silence_watch.h"

namespace cogvx {
namespace {

constexpr std::chrono::milliseconds kLongestPause{1000};
constexpr int kBeatsWithinLimit = 5;
constexpr std::chrono::milliseconds kLastExchange{2000};

// Signals stay with the threads that were there: one of them must be interrupted, not this.
template <typename F>
std::jthread quiet_thread(const F& work) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  std::jthread thread(work);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread;
}

}  // namespace

// A thread of their own, which nobody waits for: an exchange with a stopped process does not end.
struct Heartbeat::Exchanges {
  std::shared_ptr<LifeBoard> board;
  std::unique_ptr<LifeMirror> mirror;
  std::chrono::milliseconds pause{};
  std::mutex mutex{};
  std::condition_variable changed{};
  bool stopped = false;
  bool done = false;

  void run() {
    std::unique_lock lock(mutex);
    while (!stopped) {
      lock.unlock();
      mirror->exchange(*board);
      lock.lock();
      changed.wait_for(lock, pause, [&] { return stopped; });
    }
    lock.unlock();
    mirror->exchange(*board);
    lock.lock();
    done = true;
    changed.notify_all();
  }
  void stop() {
    std::unique_lock lock(mutex);
    stopped = true;
    changed.notify_all();
    changed.wait_for(lock, kLastExchange, [&] { return done; });
  }
};

Heartbeat::Heartbeat(std::shared_ptr<LifeBoard> board, int rank)
    : board_(std::move(board)), rank_(rank) {
  start();
}

Heartbeat::Heartbeat(std::shared_ptr<LifeBoard> board, int rank, Listening listening)
    : board_(std::move(board)), rank_(rank), listening_(std::move(listening)) {
  start();
}

void Heartbeat::start() {
  auto pause = kLongestPause;
  if (listening_.on_silence) pause = std::min(pause, listening_.limit / kBeatsWithinLimit);
  if (listening_.mirror) {
    exchanges_ = std::make_shared<Exchanges>(board_, std::move(listening_.mirror), pause);
    quiet_thread([own = exchanges_] { own->run(); }).detach();
  }
  thread_ = quiet_thread([this, pause](const std::stop_token& stop) { run(stop, pause); });
}

Heartbeat::~Heartbeat() {
  thread_.request_stop();
  thread_.join();
  board_->leave(rank_);
  if (exchanges_) exchanges_->stop();
}

void Heartbeat::run(const std::stop_token& stop, std::chrono::milliseconds pause) {
  SilenceWatch watch(listening_.limit, {.self = rank_, .relay = exchanges_ && rank_ != 0 ? 0 : -1});
  std::mutex mutex;
  std::condition_variable_any woken;
  std::unique_lock lock(mutex);
  while (!stop.stop_requested()) {
    board_->beat(rank_);
    if (listening_.on_silence) {
      if (const auto missed = watch.look(*board_, SilenceWatch::Clock::now()))
        std::exchange(listening_.on_silence, nullptr)(*missed);
    }
    woken.wait_for(lock, stop, pause, [] { return false; });
  }
}

}  // namespace cogvx
