#include "app/ranks.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>

#include <cstring>
#include <numeric>

#include "core/base/short_hash.h"
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

std::vector<std::string> Ranks::gather_at_first(std::string_view bytes) {
  const at::TensorOptions options = at::TensorOptions().dtype(at::kByte);
  const auto size = static_cast<int64_t>(bytes.size());
  const at::Tensor own_size = at::full({1}, size, at::kLong);
  const at::Tensor sizes = at::empty({world_->size()}, at::kLong);
  const Splits one_size(world_->size(), sizeof(int64_t));
  world_->all_gather_uneven(own_size.view(at::kByte), one_size, sizes.view(at::kByte));
  const auto* size_of = sizes.const_data_ptr<int64_t>();
  const Splits splits(size_of, size_of + world_->size());
  const int64_t total = is_first() ? std::accumulate(splits.begin(), splits.end(), int64_t{0}) : 0;
  const at::Tensor send = at::empty({size}, options), recv = at::empty({total}, options);
  std::memcpy(send.mutable_data_ptr(), bytes.data(), bytes.size());
  world_->gather_uneven(send, splits, recv, /*root=*/0);
  std::vector<std::string> all;
  const auto* arrived = static_cast<const char*>(recv.const_data_ptr());
  for (size_t rank = 0; is_first() && rank < splits.size(); arrived += splits[rank++])
    all.emplace_back(arrived, splits[rank]);
  return all;
}

void Ranks::agree(const std::string& what, const std::string& bytes) {
  if (mesh_.world() > 1) check_agreement(*world_, what, short_hash(bytes.data(), bytes.size()));
}

void Ranks::agree(const std::string& what, const at::Tensor& tensor) {
  if (mesh_.world() > 1) check_agreement(*world_, what, short_hash(tensor));
}

}  // namespace cogvx::app
