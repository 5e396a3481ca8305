#include "core/pipeline/work_exchange.h"

namespace cogvx {

std::vector<at::Tensor> OneWorker::run_tiles(std::span<const TileJob> jobs,
                                             const std::function<at::Tensor(int64_t)>& run) {
  std::vector<at::Tensor> tiles;
  for (int64_t i = 0; i < std::ssize(jobs); ++i) tiles.push_back(run(i));
  return tiles;
}

}  // namespace cogvx
