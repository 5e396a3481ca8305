#include "parallel/life_board.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>

#include "core/base/errors.h"

namespace cogvx {
namespace {

constexpr uint64_t kLeft = std::numeric_limits<uint64_t>::max();

// One word, so that a reader never sees half of a position: the stage (from 1) above four numbers.
constexpr int kPieceBits = 20;
constexpr int kLayerBits = 10;

uint64_t pack(const Progress& now) {
  const auto push = [](uint64_t word, int64_t number, int bits) {
    const int64_t most = (int64_t{1} << bits) - 1;
    return word << bits | static_cast<uint64_t>(std::clamp<int64_t>(number, 0, most));
  };
  uint64_t word = static_cast<uint64_t>(now.stage) + 1;
  for (const int64_t number : {now.done, now.total}) word = push(word, number, kPieceBits);
  for (const int64_t number : {now.layer, now.layers}) word = push(word, number, kLayerBits);
  return word;
}

Progress unpack(uint64_t word) {
  const auto pop = [&](int bits) {
    const auto number = static_cast<int64_t>(word & ((uint64_t{1} << bits) - 1));
    word >>= bits;
    return number;
  };
  Progress now;
  now.layers = pop(kLayerBits);
  now.layer = pop(kLayerBits);
  now.total = pop(kPieceBits);
  now.done = pop(kPieceBits);
  now.stage = static_cast<Stage>(word - 1);
  return now;
}

}  // namespace

// Zero bytes are a sign that was never given.
struct LifeBoard::Slot {
  alignas(64) std::atomic<uint64_t> beats;
  std::atomic<uint64_t> position;
};
static_assert(std::atomic<uint64_t>::is_always_lock_free, "processes share no lock");

LifeBoard::LifeBoard(int world) : world_(world) {
  void* memory = mmap(nullptr, world * sizeof(Slot), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw MemoryError("no memory for the signs of life of the processes");
  slots_ = static_cast<Slot*>(memory);
}

LifeBoard::LifeBoard(const std::filesystem::path& file, int world) : world_(world) {
  const auto size = static_cast<off_t>(world * sizeof(Slot));
  const int descriptor = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  // A page that the disk has no room for would be a signal later on.
  int error = descriptor < 0 ? errno : posix_fallocate(descriptor, 0, size);
  void* memory = MAP_FAILED;
  if (error == 0) {
    memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (memory == MAP_FAILED) error = errno;
  }
  if (descriptor >= 0) close(descriptor);
  if (error != 0) {
    throw OutputError(file.string() + ": cannot be shared by the processes of a run: " +
                      std::strerror(error) + "; set TMPDIR to a folder that can be written");
  }
  slots_ = static_cast<Slot*>(memory);
}

LifeBoard::~LifeBoard() { munmap(slots_, world_ * sizeof(Slot)); }

LifeBoard::Slot& LifeBoard::slot(int rank) const {
  if (rank < 0 || rank >= world_) {
    throw std::logic_error("life board: rank is " + std::to_string(rank) + ", wanted 0 to " +
                           std::to_string(world_ - 1));
  }
  return slots_[rank];
}

void LifeBoard::beat(int rank) {
  if (!has_left(rank)) ++slot(rank).beats;
}
void LifeBoard::show(int rank, const Progress& now) { slot(rank).position = pack(now); }
void LifeBoard::leave(int rank) { slot(rank).beats = kLeft; }

bool LifeBoard::has_left(int rank) const { return slot(rank).beats == kLeft; }
uint64_t LifeBoard::beats(int rank) const { return slot(rank).beats; }

std::optional<Progress> LifeBoard::position(int rank) const {
  const uint64_t word = slot(rank).position;
  return word == 0 ? std::nullopt : std::optional<Progress>(unpack(word));
}

LifeSign LifeBoard::sign(int rank) const { return {slot(rank).beats, slot(rank).position}; }

void LifeBoard::put(int rank, const LifeSign& sign) {
  slot(rank).position = sign.position;
  slot(rank).beats = sign.beats;
}

}  // namespace cogvx
