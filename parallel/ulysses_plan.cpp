#include "parallel/ulysses_plan.h"

#include <c10/core/ScalarType.h>

#include <algorithm>

#include "parallel/bytes.h"
#include "parallel/predicted_bytes.h"

namespace cogvx {
namespace {

using Runs = std::vector<AttentionRun>;

constexpr size_t index(UlyssesStage stage) { return static_cast<size_t>(stage); }

// Slice `group` of so many of each rank's runs.
std::vector<Runs> slices(const std::vector<Runs>& runs_of, int64_t group, int64_t groups) {
  std::vector<Runs> sliced;
  for (const Runs& runs : runs_of) {
    const auto cut = [&](int64_t g) { return runs.begin() + std::ssize(runs) * g / groups; };
    sliced.emplace_back(cut(group), cut(group + 1));
  }
  return sliced;
}

bool whole_heads(const std::vector<Runs>& runs_of, int64_t tiles) {
  return std::ranges::all_of(runs_of, [&](const Runs& runs) {
    return std::ranges::all_of(
        runs, [&](const AttentionRun& run) { return run.tile_end - run.tile_begin == tiles; });
  });
}

class Planner {
 public:
  Planner(const SequenceShape& shape, SequencePlace place)
      : shape_(shape),
        place_(place),
        vector_bytes_(shape.head_dim * static_cast<int64_t>(c10::elementSize(shape.dtype))) {
    plan_.rows_of = deal_rows(shape.rows, place.ranks);
  }

  UlyssesPlan plan(int64_t groups) {
    const std::vector<Runs> runs_of = attention_runs(shape_, place_.ranks);
    int64_t most_runs = 1;
    for (const Runs& runs : runs_of) most_runs = std::max(most_runs, std::ssize(runs));
    groups = std::min(groups, most_runs);
    plan_.whole_heads = whole_heads(runs_of, ceil_div(shape_.rows, kBlockRows));
    plan_.packs = groups > 1 || !plan_.whole_heads;
    for (int64_t g = 0; g < groups; ++g) {
      plan_.groups.push_back({.runs_of = slices(runs_of, g, groups)});
      make_splits(plan_.groups.back());
    }
    lay_out();
    return std::move(plan_);
  }

 private:
  // q of the tiles that a rank attends, k and v of its heads, from the owner of some rows.
  int64_t qkv_bytes(const Runs& runs, RowRange rows) const {
    return (common_rows(runs, rows) + 2 * rows.size() * std::ssize(runs)) * vector_bytes_;
  }

  void make_splits(UlyssesGroup& group) const {
    const RowRange own = plan_.rows_of[place_.rank];
    const Runs& own_runs = group.runs_of[place_.rank];
    for (int peer = 0; peer < place_.ranks; ++peer) {
      const RowRange rows = plan_.rows_of[peer];
      const Runs& runs = group.runs_of[peer];
      group.to_heads_send.push_back(qkv_bytes(runs, own));
      group.to_heads_recv.push_back(qkv_bytes(own_runs, rows));
      group.to_rows_send.push_back(common_rows(own_runs, rows) * vector_bytes_);
      group.to_rows_recv.push_back(common_rows(runs, own) * vector_bytes_);
    }
  }

  int64_t stage_bytes(const UlyssesGroup& group, UlyssesStage stage) const {
    const int64_t rows = plan_.rows_of[place_.rank].size() * vector_bytes_;
    const int64_t heads = std::ssize(group.runs_of[place_.rank]) * shape_.rows * vector_bytes_;
    switch (stage) {
      case UlyssesStage::kSend:
        return 3 * rows * shape_.heads;
      case UlyssesStage::kPacked:
        return total(group.to_heads_send);
      case UlyssesStage::kArrived:
        return total(group.to_heads_recv);
      case UlyssesStage::kQkv:
        return 3 * heads;
      case UlyssesStage::kOut:
        return heads;
      case UlyssesStage::kReturned:
        return total(group.to_rows_send);
      case UlyssesStage::kResult:
        return total(group.to_rows_recv);
      case UlyssesStage::kOwn:
        return rows * shape_.heads;
    }
    return 0;
  }

  // Every buffer is read only while the next one is filled, so two blocks of memory are enough: the
  // stages take turns in them, each group in its own part, while what all groups share lies over
  // all parts: everything is packed before anything arrives, and all results have come before any
  // is unpacked.
  void lay_out() {
    for (UlyssesGroup& group : plan_.groups) {
      std::array<int64_t, 2> part{};
      int turn = 0;
      for (size_t s = 0; s < kUlyssesStages; ++s) {
        const auto stage = static_cast<UlyssesStage>(s);
        if (stage == UlyssesStage::kPacked && !plan_.packs) {
          group.pieces[s] = group.pieces[index(UlyssesStage::kSend)];
          continue;
        }
        const int block = turn++ % 2;
        const bool shared = stage == UlyssesStage::kSend || stage == UlyssesStage::kOwn;
        const int64_t bytes = stage_bytes(group, stage);
        group.pieces[s] = {block, shared ? 0 : parts_[block], bytes};
        int64_t& largest = shared ? shared_[block] : part[block];
        largest = std::max(largest, bytes);
      }
      for (int block : {0, 1}) parts_[block] += part[block];
    }
    for (int block : {0, 1}) plan_.block_bytes[block] = std::max(parts_[block], shared_[block]);
  }

  const SequenceShape& shape_;
  SequencePlace place_;
  int64_t vector_bytes_;
  UlyssesPlan plan_;
  std::array<int64_t, 2> parts_{};   // of the groups laid out so far
  std::array<int64_t, 2> shared_{};  // of what all groups share
};

}  // namespace

int head_groups(const SequenceShape& shape, int ranks) {
  const bool worth = even_layer_bytes(SequenceMode::kUlysses, shape, ranks) >=
                     static_cast<double>(kBytesWorthTwoGroups);
  return shape.device.is_cpu() && worth ? 2 : 1;
}

UlyssesPlan plan_ulysses(const SequenceShape& shape, SequencePlace place, int head_groups) {
  return Planner(shape, place).plan(head_groups);
}

}  // namespace cogvx
