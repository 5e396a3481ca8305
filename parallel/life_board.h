#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "core/base/monitor.h"

namespace cogvx {

// What a process shows of itself: a count that grows while it lives, and where its work is.
struct LifeSign {
  uint64_t beats = 0;
  uint64_t position = 0;  // packed; 0: nowhere yet
};

// The signs of all processes of a run. Any thread and any process that has it may look at every
// sign; a process writes its own. No call waits.
class LifeBoard {
 public:
  // Of one process.
  explicit LifeBoard(int world);
  // Shared by the processes of this machine that name the same file, which is made where it is not
  // there and may be removed once all have it. Throws OutputError.
  LifeBoard(const std::filesystem::path& file, int world);
  ~LifeBoard();
  LifeBoard(const LifeBoard&) = delete;
  LifeBoard& operator=(const LifeBoard&) = delete;

  int world() const { return world_; }
  void beat(int rank);
  void show(int rank, const Progress& now);
  // It ends in order, and nobody is to miss it.
  void leave(int rank);

  bool has_left(int rank) const;
  uint64_t beats(int rank) const;
  // Nothing before its first show(); `part` is not kept.
  std::optional<Progress> position(int rank) const;

  LifeSign sign(int rank) const;
  void put(int rank, const LifeSign& sign);

 private:
  struct Slot;
  Slot& slot(int rank) const;

  int world_ = 0;
  Slot* slots_ = nullptr;
};

}  // namespace cogvx
