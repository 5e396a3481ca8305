#include "parallel/silence_watch.h"

#include <algorithm>
#include <utility>

namespace cogvx {

std::optional<int> SilenceWatch::look(const LifeBoard& board, Clock::time_point now) {
  if (ranks_.empty()) {
    ranks_.resize(board.world());
    last_look_ = now;
  }
  // Half, so that it takes two looks, with time to beat between them.
  const Clock::duration gap = std::min<Clock::duration>(now - last_look_, limit_ / 2);
  last_look_ = now;
  Clock::duration gap_of_others = gap;
  if (place_.relay >= 0) {
    since_relay_ = std::min<Clock::duration>(since_relay_ + gap, limit_ / 2);
    const bool heard = board.beats(place_.relay) != ranks_[place_.relay].beats;
    gap_of_others = heard ? std::exchange(since_relay_, {}) : Clock::duration{};
  }
  std::optional<int> missed;
  for (int rank = 0; rank < board.world(); ++rank) {
    Listened& heard = ranks_[rank];
    const uint64_t beats = board.beats(rank);
    if (rank == place_.self || board.has_left(rank) || beats != heard.beats) {
      heard = {beats, {}};
      continue;
    }
    heard.silent += rank == place_.relay ? gap : gap_of_others;
    if (heard.silent > limit_ && !missed) missed = rank;
  }
  return missed;
}

}  // namespace cogvx
