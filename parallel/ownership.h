#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/base/shapes.h"
#include "core/ops/ops.h"
#include "core/transformer/sequence_exchange.h"
#include "core/vae/tiles.h"
#include "parallel/mesh.h"

// Who owns which units of work. Every function is pure and gives each unit exactly one owner; how
// many ranks there are decides only who, never what a unit is. Shares are contiguous and as even as
// units allow, the first ranks taking one more; a rank may own nothing; nothing is padded.
namespace cogvx {

// A rank among those that share a sequence.
struct SequencePlace {
  int rank = 0;
  int ranks = 1;
};

// Rows of the joint sequence, one range per rank in order: whole blocks of kBlockRows, the last
// block as short as it is. A rank without rows has an empty range where its rows would begin.
std::vector<RowRange> deal_rows(int64_t rows, int ranks);

// Whether a head may be shared by several ranks. A GPU's kernels give a head the same bytes only
// where they see all of it.
enum class HeadSplit { kWhereItPays, kNever };
HeadSplit head_split(at::Device device);

// Query tiles that the busiest rank must be spared before heads are split. A further owner of a
// head receives its K and V and packs them, 2 N E elements, which takes about as long as it takes
// to attend 6 tiles: 4 N E FLOP a row at 200 GFLOP/s a core, against bytes that move and are copied
// at half a gigabyte a second.
constexpr int64_t kTilesWorthASplit = 8;

// Attention units (head, query tile), in head-major order, as runs per rank, a head at most once
// in each: whole heads, or runs of tiles as even as can be where those spare the busiest rank
// kTilesWorthASplit, or where ranks would have no head at all.
std::vector<std::vector<AttentionRun>> deal_units(int64_t heads, int64_t tiles, int ranks,
                                                  HeadSplit split = HeadSplit::kWhereItPays);

// Of a sequence as kUlysses shares it.
std::vector<std::vector<AttentionRun>> attention_runs(const SequenceShape& shape, int ranks);

// Rows that runs of query tiles and a row owner have in common; over several heads, their sum.
RowRange common_rows(const AttentionRun& run, RowRange owned);
int64_t common_rows(std::span<const AttentionRun> runs, RowRange owned);

// VAE tiles, largest first, each to the rank with the least area so far: the owner of each tile.
std::vector<int> deal_tiles(std::span<const int64_t> areas, int ranks);
// Of a layout's tiles, dealt so to all ranks of a mesh, those of one.
std::vector<Tile> own_tiles(const TileLayout& layout, const Mesh& mesh);

}  // namespace cogvx
