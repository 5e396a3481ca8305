#include "parallel/ownership.h"

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <string>

namespace cogvx {
namespace {

void check_count(const char* what, int64_t found, int64_t least) {
  if (found < least)
    throw std::logic_error(std::string("ownership: ") + what + " is " + std::to_string(found) +
                           ", wanted " + std::to_string(least) + " or more");
}

struct Share {
  int64_t begin;
  int64_t end;
};

Share even_share(int64_t count, int ranks, int rank) {
  const int64_t base = count / ranks;
  const int64_t extra = count % ranks;
  const auto start = [&](int64_t r) { return r * base + std::min(r, extra); };
  return {start(rank), start(int64_t{rank} + 1)};
}

// Units [begin, end) of the head-major list as runs.
std::vector<AttentionRun> runs_of_units(Share units, int64_t tiles) {
  std::vector<AttentionRun> runs;
  for (int64_t unit = units.begin; unit < units.end;) {
    const int64_t head = unit / tiles;
    const int64_t end = std::min(units.end, (head + 1) * tiles);
    runs.push_back({head, unit - head * tiles, end - head * tiles});
    unit = end;
  }
  return runs;
}

}  // namespace

std::vector<RowRange> deal_rows(int64_t rows, int ranks) {
  check_count("rows", rows, 0);
  check_count("ranks", ranks, 1);
  std::vector<RowRange> dealt;
  for (int rank = 0; rank < ranks; ++rank) {
    const Share blocks = even_share(ceil_div(rows, kBlockRows), ranks, rank);
    dealt.push_back(
        {std::min(rows, blocks.begin * kBlockRows), std::min(rows, blocks.end * kBlockRows)});
  }
  return dealt;
}

HeadSplit head_split(at::Device device) {
  return device.is_cpu() ? HeadSplit::kWhereItPays : HeadSplit::kNever;
}

std::vector<std::vector<AttentionRun>> deal_units(int64_t heads, int64_t tiles, int ranks,
                                                  HeadSplit split) {
  check_count("heads", heads, 0);
  check_count("tiles", tiles, 0);
  check_count("ranks", ranks, 1);
  const int64_t spared = ceil_div(heads, ranks) * tiles - ceil_div(heads * tiles, ranks);
  const bool whole_heads =
      split == HeadSplit::kNever || (heads >= ranks && spared < kTilesWorthASplit);
  std::vector<std::vector<AttentionRun>> dealt;
  for (int rank = 0; rank < ranks; ++rank) {
    Share units{};
    if (whole_heads) {
      const Share own = even_share(heads, ranks, rank);
      units = {own.begin * tiles, own.end * tiles};
    } else {
      units = even_share(heads * tiles, ranks, rank);
    }
    dealt.push_back(runs_of_units(units, tiles));
  }
  return dealt;
}

std::vector<std::vector<AttentionRun>> attention_runs(const SequenceShape& shape, int ranks) {
  return deal_units(shape.heads, ceil_div(shape.rows, kBlockRows), ranks, head_split(shape.device));
}

RowRange common_rows(const AttentionRun& run, RowRange owned) {
  return intersect({run.tile_begin * kBlockRows, run.tile_end * kBlockRows}, owned);
}

int64_t common_rows(std::span<const AttentionRun> runs, RowRange owned) {
  int64_t rows = 0;
  for (const AttentionRun& run : runs) rows += common_rows(run, owned).size();
  return rows;
}

std::vector<int> deal_tiles(std::span<const int64_t> areas, int ranks) {
  check_count("ranks", ranks, 1);
  std::vector<size_t> by_area(areas.size());
  std::iota(by_area.begin(), by_area.end(), size_t{0});
  std::stable_sort(by_area.begin(), by_area.end(),
                   [&](size_t a, size_t b) { return areas[a] > areas[b]; });
  std::vector<int64_t> load(ranks, 0);
  std::vector<int> owner(areas.size(), 0);
  for (size_t tile : by_area) {
    const auto least = std::min_element(load.begin(), load.end());
    owner[tile] = static_cast<int>(least - load.begin());
    *least += areas[tile];
  }
  return owner;
}

std::vector<Tile> own_tiles(const TileLayout& layout, const Mesh& mesh) {
  std::vector<int64_t> areas;
  for (const Tile& tile : layout.tiles) areas.push_back(tile.height * tile.width);
  const std::vector<int> owners = deal_tiles(areas, mesh.world());
  std::vector<Tile> own;
  for (size_t i = 0; i < owners.size(); ++i) {
    if (owners[i] == mesh.rank) own.push_back(layout.tiles[i]);
  }
  return own;
}

}  // namespace cogvx
