#include "parallel/mesh_work.h"

#include <ATen/ops/empty.h>

#include <algorithm>

#include "parallel/bytes.h"
#include "parallel/ownership.h"

namespace cogvx {
namespace {

constexpr int kRoot = 0;

at::Tensor empty_like_shape(const TensorShape& shape) {
  return at::empty(shape.sizes, at::TensorOptions().dtype(shape.dtype));
}

int64_t byte_count(const TensorShape& shape) { return cogvx::byte_count(shape.sizes, shape.dtype); }

// Tiles of each rank in the order in which it decodes them.
std::vector<std::vector<int64_t>> tiles_of_ranks(std::span<const TileJob> jobs, int ranks) {
  std::vector<int64_t> areas;
  for (const TileJob& job : jobs) areas.push_back(job.area);
  const std::vector<int> owners = deal_tiles(areas, ranks);
  std::vector<std::vector<int64_t>> tiles(ranks);
  for (int64_t i = 0; i < std::ssize(jobs); ++i) tiles[owners[i]].push_back(i);
  return tiles;
}

// A round moves each rank's next tile to the root; it ends when the root needs it.
struct Round {
  at::Tensor send_B;
  at::Tensor recv_B;
  Transfer transfer;
};

}  // namespace

at::Tensor MeshWork::made_once(const TensorShape& shape, const std::function<at::Tensor()>& make) {
  const at::Tensor tensor = once_.rank() == kRoot ? make().contiguous() : empty_like_shape(shape);
  once_.broadcast(as_bytes(tensor), kRoot);
  return tensor;
}

bool MeshWork::owns_branch(int branch) const { return mesh_.cp == 1 || mesh_.cp_rank() == branch; }

void MeshWork::share_branches(const TensorShape& shape, std::array<at::Tensor, 2>& predictions) {
  if (mesh_.cp == 1) return;
  for (int branch = 0; branch < 2; ++branch) {
    at::Tensor& prediction = predictions[branch];
    prediction = prediction.defined() ? prediction.contiguous() : empty_like_shape(shape);
    branches_.broadcast(as_bytes(prediction), branch);
  }
}

std::vector<at::Tensor> MeshWork::run_tiles(std::span<const TileJob> jobs,
                                            const std::function<at::Tensor(int64_t)>& run) {
  Group& world = tiles_;
  const auto tiles_of = tiles_of_ranks(jobs, world.size());
  const bool at_root = world.rank() == kRoot;
  const std::vector<int64_t>& own = tiles_of[world.rank()];
  const size_t most = std::max_element(tiles_of.begin(), tiles_of.end(), [](auto& a, auto& b) {
                        return a.size() < b.size();
                      })->size();
  std::vector<at::Tensor> all(at_root ? jobs.size() : 0);
  std::vector<Round> rounds;
  for (size_t r = 0; r < most; ++r) {
    const at::Tensor tile = r < own.size() ? run(own[r]).contiguous() : at::Tensor();
    Splits send(world.size(), 0), recv(world.size(), 0);
    if (tile.defined() && at_root) all[own[r]] = tile;
    if (tile.defined() && !at_root) send[kRoot] = byte_count(jobs[own[r]].result);
    for (int rank = 0; at_root && rank < world.size(); ++rank) {
      if (rank != kRoot && r < tiles_of[rank].size())
        recv[rank] = byte_count(jobs[tiles_of[rank][r]].result);
    }
    const at::TensorOptions bytes = at::TensorOptions().dtype(at::kByte);
    Round round{.send_B = send[kRoot] > 0 ? as_bytes(tile) : at::empty({0}, bytes),
                .recv_B = at::empty({total(recv)}, bytes),
                .transfer = {}};
    round.transfer = world.begin_all_to_all(round.send_B, send, round.recv_B, recv);
    rounds.push_back(std::move(round));
  }
  for (size_t r = 0; r < most; ++r) {
    rounds[r].transfer.wait();
    int64_t at = 0;
    for (int rank = 0; at_root && rank < world.size(); ++rank) {
      if (rank == kRoot || r >= tiles_of[rank].size()) continue;
      const TileJob& job = jobs[tiles_of[rank][r]];
      all[tiles_of[rank][r]] = rounds[r]
                                   .recv_B.narrow(0, at, byte_count(job.result))
                                   .clone()
                                   .view(job.result.dtype)
                                   .view(job.result.sizes);
      at += byte_count(job.result);
    }
  }
  return all;
}

}  // namespace cogvx
