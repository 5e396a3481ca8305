#pragma once

#include <array>
#include <span>
#include <vector>

#include "core/transformer/sequence_exchange.h"
#include "parallel/group.h"
#include "parallel/ownership.h"

// Who gets what in UlyssesExchange and where it lies meanwhile, from shapes alone. Every function
// is pure.
namespace cogvx {

// What a rank must give away in a layer for two groups to be worth their while: that takes a
// millisecond on one machine, half of which a second group hides; its further copies and operations
// take a quarter of that.
constexpr int64_t kBytesWorthTwoGroups = 1 << 20;

// Groups of heads that travel one after another, so that the bytes of one move while another is
// computed: two on CPUs with so much to move, else one. More would hide little more, and every call
// of attention ends with threads that wait for the last.
int head_groups(const SequenceShape& shape, int ranks);

// What lies in a buffer of the exchange, in the order in which they are filled, each from the one
// before.
enum class UlyssesStage { kSend, kPacked, kArrived, kQkv, kOut, kReturned, kResult, kOwn };
constexpr size_t kUlyssesStages = 8;

// A piece of one of the two blocks of memory.
struct BlockPiece {
  int block = 0;
  int64_t begin = 0;
  int64_t bytes = 0;
};

// One group: of each rank's runs a slice, so that the balance of all runs is that of all groups
// together, and a head never travels twice to one rank.
struct UlyssesGroup {
  std::vector<std::vector<AttentionRun>> runs_of;  // per rank
  // Bytes that this rank and each other give to one another.
  Splits to_heads_send;
  Splits to_heads_recv;
  Splits to_rows_send;
  Splits to_rows_recv;
  std::array<BlockPiece, kUlyssesStages> pieces;  // by stage; kSend and kOwn are of all groups
};

struct UlyssesPlan {
  std::vector<RowRange> rows_of;  // per rank
  std::vector<UlyssesGroup> groups;
  bool whole_heads = false;  // no head has two owners
  // Where whole heads travel in one group they lie in kSend in the order of their owners already,
  // and nothing is packed: kPacked is kSend.
  bool packs = false;
  std::array<int64_t, 2> block_bytes{};
};
// No more groups than a rank has runs.
UlyssesPlan plan_ulysses(const SequenceShape& shape, SequencePlace place, int head_groups);

}  // namespace cogvx
