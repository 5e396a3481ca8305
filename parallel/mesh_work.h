#pragma once

#include "core/pipeline/work_exchange.h"
#include "parallel/counting_group.h"
#include "parallel/mesh.h"

namespace cogvx {

// A process's place and the groups it belongs to; all must outlive what uses them.
struct MeshGroups {
  Mesh mesh;
  Group& world;
  Group& sequence;  // the sp ranks that share its branch's sequence
  Group& branches;  // the cp ranks that hold the same part of the other branch's
};

// Bytes that a rank gave to others.
struct WorkBytes {
  int64_t once = 0;      // what is made once: text, noise
  int64_t branches = 0;  // predictions
  int64_t tiles = 0;
  bool operator==(const WorkBytes&) const = default;
};

// Shares the pipeline's work among cp x sp processes: rank 0 makes what is made once and gets the
// tiles; each cp half computes a guidance branch; tiles are dealt over all, largest first, and sent
// as they are finished.
class MeshWork final : public WorkExchange {
 public:
  explicit MeshWork(const MeshGroups& groups)
      : mesh_(groups.mesh), once_(groups.world), branches_(groups.branches), tiles_(groups.world) {}

  at::Tensor made_once(const TensorShape& shape, const std::function<at::Tensor()>& make) override;
  bool owns_branch(int branch) const override;
  void share_branches(const TensorShape& shape, std::array<at::Tensor, 2>& predictions) override;
  std::vector<at::Tensor> run_tiles(std::span<const TileJob> jobs,
                                    const std::function<at::Tensor(int64_t)>& run) override;

  // Since construction.
  WorkBytes bytes_sent() const {
    return {once_.bytes_sent(), branches_.bytes_sent(), tiles_.bytes_sent()};
  }

 private:
  Mesh mesh_;
  CountingGroup once_;
  CountingGroup branches_;
  CountingGroup tiles_;
};

}  // namespace cogvx
