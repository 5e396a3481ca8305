#include "app/ranks.h"

#include "parallel/agreement.h"
#include "parallel/mesh_work.h"
#include "parallel/ulysses_exchange.h"

namespace cogvx::app {

Ranks::Ranks()
    : world_(std::make_unique<SingleGroup>()),
      sequence_exchange_(std::make_unique<IdentityExchange>()),
      work_(std::make_unique<OneWorker>()) {}

Ranks::Ranks(const Mesh& mesh, const Rendezvous& meeting)
    : mesh_(mesh),
      world_(meeting.make_gloo_group({"world", mesh.rank, mesh.world()})),
      sequence_(meeting.make_gloo_group(
          {"sequence-" + std::to_string(mesh.cp_rank()), mesh.sp_rank(), mesh.sp})),
      branches_(meeting.make_gloo_group(
          {"branches-" + std::to_string(mesh.sp_rank()), mesh.cp_rank(), mesh.cp})),
      work_(std::make_unique<MeshWork>(MeshGroups{mesh, *world_, *sequence_, *branches_})) {
  // With the whole sequence at hand nothing has to move.
  if (mesh.sp == 1) {
    sequence_exchange_ = std::make_unique<IdentityExchange>();
  } else {
    sequence_exchange_ = std::make_unique<UlyssesExchange>(*sequence_);
  }
}

void Ranks::agree(const std::string& what, const std::string& bytes) {
  if (mesh_.world() > 1) check_agreement(*world_, what, short_hash(bytes.data(), bytes.size()));
}

void Ranks::agree(const std::string& what, const at::Tensor& tensor) {
  if (mesh_.world() > 1) check_agreement(*world_, what, short_hash(tensor));
}

}  // namespace cogvx::app
