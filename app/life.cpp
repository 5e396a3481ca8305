#include "app/life.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "app/position_text.h"

namespace cogvx::app {
namespace {

// A question to rank 0's store that takes longer is asked again over a new connection.
constexpr std::chrono::milliseconds kLongestAnswer{3000};
// The others learn from rank 0's store who is silent, so it ends last.
constexpr std::chrono::milliseconds kTimeToHear{2500};

}  // namespace

std::string life_file(const std::string& meeting_file) { return meeting_file + ".life"; }

void Life::begin(const LaunchPlace& place) {
  rank_ = place.rank;
  board_ = place.meeting_file.empty()
               ? std::make_shared<LifeBoard>(place.world)
               : std::make_shared<LifeBoard>(life_file(place.meeting_file), place.world);
  if (place.supervised) heartbeat_ = std::make_unique<Heartbeat>(board_, rank_);
}

void Life::listen(const LaunchPlace& place, int64_t limit_seconds,
                  std::function<void(const std::string&)> end) {
  const std::chrono::milliseconds limit = std::chrono::seconds(limit_seconds);
  Heartbeat::Listening listening{.limit = limit, .mirror = {}, .on_silence = {}};
  if (place.meeting_file.empty()) {
    listening.mirror = make_store_mirror(place.address.host, place.address.port, rank_, place.world,
                                         std::min(kLongestAnswer, limit / 4));
  }
  listening.on_silence = [this, limit_seconds, end = std::move(end)](int missed) {
    std::string line =
        silence_text(missed, board_->world(), limit_seconds, board_->position(missed));
    {
      const std::lock_guard lock(mutex_);
      if (rescue_) line += rescue_();
    }
    if (rank_ == 0) std::this_thread::sleep_for(kTimeToHear);
    end(line);
  };
  heartbeat_ = std::make_unique<Heartbeat>(board_, rank_, std::move(listening));
}

void Life::show(const Progress& now) {
  if (board_) board_->show(rank_, now);
}

std::string Life::where() const {
  if (!board_) return "";
  const std::optional<Progress> now = board_->position(rank_);
  return rank_text(rank_, board_->world()) + (now ? ", " + position_text(*now) : "") + ": ";
}

Life::Rescue::Rescue(Life& life, std::function<std::string()> rescue) : life_(life) {
  const std::lock_guard lock(life_.mutex_);
  life_.rescue_ = std::move(rescue);
}

Life::Rescue::~Rescue() {
  const std::lock_guard lock(life_.mutex_);
  life_.rescue_ = nullptr;
}

}  // namespace cogvx::app
