#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/pipeline/work_exchange.h"
#include "core/transformer/sequence_exchange.h"
#include "parallel/group.h"
#include "parallel/mesh.h"
#include "parallel/rendezvous.h"

namespace cogvx::app {

// This process among those of its run, and how it shares work with them. The last place that knows
// how many there are.
class Ranks {
 public:
  // A run of one process.
  Ranks();
  // Waits for the others. Throws DistributedError.
  Ranks(const Mesh& mesh, const Rendezvous& meeting);

  const Mesh& mesh() const { return mesh_; }
  bool is_first() const { return mesh_.rank == 0; }
  SequenceExchange& sequence() { return *sequence_exchange_; }
  WorkExchange& work() { return *work_; }
  void wait_for_all() { world_->barrier(); }
  // Every process's bytes in the order of the ranks, on rank 0; nothing elsewhere.
  std::vector<std::string> gather_at_first(std::string_view bytes);
  // Throws DistributedError where the processes hold different bytes.
  void agree(const std::string& what, const std::string& bytes);
  void agree(const std::string& what, const at::Tensor& tensor);

 private:
  Mesh mesh_;
  std::unique_ptr<Group> world_;
  std::unique_ptr<Group> sequence_;
  std::unique_ptr<Group> branches_;
  std::unique_ptr<SequenceExchange> sequence_exchange_;
  std::unique_ptr<WorkExchange> work_;
};

}  // namespace cogvx::app
