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

}  // namespace

Heartbeat::Heartbeat(LifeBoard& board, int rank) : board_(board), rank_(rank) { start(); }

Heartbeat::Heartbeat(LifeBoard& board, int rank, Listening listening)
    : board_(board), rank_(rank), listening_(std::move(listening)) {
  start();
}

// Signals stay with the threads that were there: one of them must be interrupted, not this.
void Heartbeat::start() {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Heartbeat::~Heartbeat() {
  thread_.request_stop();
  thread_.join();
  board_.leave(rank_);
  if (listening_.mirror) listening_.mirror->exchange(board_);
}

void Heartbeat::run(const std::stop_token& stop) {
  auto pause = kLongestPause;
  if (listening_.on_silence) pause = std::min(pause, listening_.limit / kBeatsWithinLimit);
  SilenceWatch watch(listening_.limit,
                     {.self = rank_, .relay = listening_.mirror && rank_ != 0 ? 0 : -1});
  std::mutex mutex;
  std::condition_variable_any woken;
  std::unique_lock lock(mutex);
  while (!stop.stop_requested()) {
    board_.beat(rank_);
    if (listening_.mirror) listening_.mirror->exchange(board_);
    if (listening_.on_silence) {
      if (const auto missed = watch.look(board_, SilenceWatch::Clock::now()))
        std::exchange(listening_.on_silence, nullptr)(*missed);
    }
    woken.wait_for(lock, stop, pause, [] { return false; });
  }
}

}  // namespace cogvx
