#pragma once

#include <chrono>
#include <optional>
#include <vector>

#include "parallel/life_board.h"

namespace cogvx {

// Tells which process has given no sign of life for too long. Time in which the watcher itself did
// not run counts for little: after a sleep of its own it hears the others before it judges them.
class SilenceWatch {
 public:
  using Clock = std::chrono::steady_clock;

  // Ranks that are never missed: `self`, or -1. Where all signs come by way of one rank, `relay`,
  // the others are only judged by what came while that one was heard; -1: each speaks for itself.
  struct Place {
    int self = -1;
    int relay = -1;
  };
  SilenceWatch(Clock::duration limit, const Place& place) : limit_(limit), place_(place) {}

  // To be called again and again, several times within `limit`: the first rank that has been silent
  // for longer, if there is one.
  std::optional<int> look(const LifeBoard& board, Clock::time_point now);

 private:
  struct Listened {
    uint64_t beats = 0;
    Clock::duration silent{};
  };
  Clock::duration limit_;
  Place place_;
  std::vector<Listened> ranks_;
  Clock::time_point last_look_{};
  Clock::duration since_relay_{};
};

}  // namespace cogvx
