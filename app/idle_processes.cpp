#include "app/idle_processes.h"

#include <algorithm>
#include <set>

#include "core/vae/tiles.h"
#include "parallel/ownership.h"

namespace cogvx::app {
namespace {

std::string counted(int64_t count, const char* what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

}  // namespace

void notice_idle_processes(const Checkpoint& checkpoint, const Request& request,
                           const Placement& placement, std::vector<std::string>& notices) {
  const int world = placement.cp * placement.sp;
  if (world == 1) return;
  const LatentShape latents = latent_shape(request, checkpoint);
  const int64_t rows = joint_rows(request, checkpoint);
  const std::vector<RowRange> dealt = deal_rows(rows, placement.sp);
  const auto without_rows = std::count_if(dealt.begin(), dealt.end(),
                                          [](const RowRange& range) { return range.size() == 0; });
  std::vector<int64_t> areas;
  for (const Tile& tile : plan_tiles(request.vae_tile, latents.height, latents.width).tiles)
    areas.push_back(tile.height * tile.width);
  const std::vector<int> owners = deal_tiles(areas, world);
  const int64_t without_tile = world - std::ssize(std::set<int>(owners.begin(), owners.end()));

  const std::string of_all = " of " + std::to_string(world) + " processes";
  std::string text;
  if (without_rows > 0) {
    text = "--sp " + std::to_string(placement.sp) + " leaves " +
           std::to_string(placement.cp * without_rows) + of_all +
           " without rows of the sequence (it has " + counted(ceil_div(rows, kBlockRows), "block") +
           " of " + std::to_string(kBlockRows) + " rows; use --sp " +
           std::to_string(placement.sp - without_rows) + ")";
  }
  if (without_tile > 0) {
    text += (text.empty() ? "" : ", and ") + std::to_string(without_tile) + of_all +
            " have no tile to decode (there is " + counted(std::ssize(areas), "tile") + ")";
  }
  if (!text.empty()) notices.push_back(text);
}

}  // namespace cogvx::app
