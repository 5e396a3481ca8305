#include "app/ranks.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <c10/core/ScalarType.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <numeric>
#include <utility>

#include "core/base/short_hash.h"
#include "parallel/agreement.h"
#include "parallel/nccl_backend.h"
#include "parallel/nccl_group.h"
#include "parallel/predicted_bytes.h"

namespace cogvx::app {

Ranks::Ranks()
    : world_(std::make_unique<SingleGroup>()),
      sequence_exchange_(std::make_unique<IdentityExchange>()),
      work_(std::make_unique<OneWorker>()) {}

Ranks::Ranks(const Mesh& mesh, MeetingPlace meeting, SequenceMode mode)
    : mesh_(mesh),
      meeting_(std::move(meeting)),
      mode_(mode),
      world_(meeting_->rendezvous.make_gloo_group({"world", mesh.rank, mesh.world()})),
      sequence_(meeting_->rendezvous.make_gloo_group(sequence_place("sequence"))),
      branches_(meeting_->rendezvous.make_gloo_group(
          {"branches-" + std::to_string(mesh.sp_rank()), mesh.cp_rank(), mesh.cp})),
      agreement_(std::make_unique<CountingGroup>(*world_)) {
  auto work = std::make_unique<MeshWork>(MeshGroups{mesh, *world_, *sequence_, *branches_});
  mesh_work_ = work.get();
  work_ = std::move(work);
  share_sequence();
  if (!meeting_->for_gpus) end_meeting();
}

// Once all have met, the place has served; a killed supervisor leaves nothing behind.
void Ranks::end_meeting() {
  world_->barrier();
  if (!is_first() || meeting_->folder.empty()) return;
  std::error_code ignored;
  std::filesystem::remove_all(meeting_->folder, ignored);
}

GroupPlace Ranks::sequence_place(const std::string& name) const {
  return {name + "-" + std::to_string(mesh_.cp_rank()), mesh_.sp_rank(), mesh_.sp};
}

void Ranks::share_sequence() {
  // With the whole sequence at hand nothing has to move.
  if (mesh_.sp == 1) {
    sequence_exchange_ = std::make_unique<IdentityExchange>();
    return;
  }
  auto shared = make_shared_sequence(mode_, *sequence_);
  shared_sequence_ = shared.get();
  sequence_exchange_ = std::move(shared);
}

void Ranks::exchange_on(const OwnGpu& gpu) {
  if (!meeting_) return;
  check_one_rank_per_gpu(gather_gpu_places(*world_, gpu.place));
  if (mesh_.sp > 1) exchange_over_nccl(gpu);
  end_meeting();
}

void Ranks::exchange_over_nccl(const OwnGpu& gpu) {
  const NcclOptions options{.device = gpu.device, .patience = gpu.patience};
  // What is exchanged for the pipeline lies on the host and stays with Gloo.
  auto group = meeting_->rendezvous.make_device_group(
      sequence_place("gpu-sequence"), nccl_backends(gpu.libraries, gpu.index), options);
  sequence_exchange_.reset();
  sequence_ = std::move(group);
  share_sequence();
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

std::string Ranks::first_said(std::string_view own) {
  const std::vector<std::string> all = gather_at_first(own);
  const auto found =
      std::find_if(all.begin(), all.end(), [](const std::string& said) { return !said.empty(); });
  std::string said = found == all.end() ? "" : *found;
  const at::Tensor size = at::full({1}, static_cast<int64_t>(said.size()), at::kLong);
  world_->broadcast(size.view(at::kByte), /*root=*/0);
  said.resize(static_cast<size_t>(size.item<int64_t>()));
  const at::Tensor bytes =
      at::empty({static_cast<int64_t>(said.size())}, at::TensorOptions().dtype(at::kByte));
  std::memcpy(bytes.mutable_data_ptr(), said.data(), said.size());
  world_->broadcast(bytes, /*root=*/0);
  return {static_cast<const char*>(bytes.const_data_ptr()), said.size()};
}

void Ranks::agree(const std::string& what, const std::string& bytes) {
  if (agreement_) check_agreement(*agreement_, what, short_hash(bytes.data(), bytes.size()));
}

void Ranks::agree(const std::string& what, const at::Tensor& tensor) {
  if (agreement_) check_agreement(*agreement_, what, short_hash(tensor));
}

void Ranks::agree(const std::string& what, uint64_t value) {
  if (agreement_) check_agreement(*agreement_, what, value);
}

BytesMoved Ranks::bytes_moved() const {
  BytesMoved moved;
  if (shared_sequence_ != nullptr) moved.sequence = shared_sequence_->bytes_sent();
  if (mesh_work_ != nullptr) moved.work = mesh_work_->bytes_sent();
  if (agreement_) moved.agreement = agreement_->bytes_sent();
  return moved;
}

BytesMoved moved_since(const BytesMoved& now, const BytesMoved& before) {
  return {.sequence = {.attention = now.sequence.attention - before.sequence.attention,
                       .gathered = now.sequence.gathered - before.sequence.gathered},
          .work = {.once = now.work.once - before.work.once,
                   .branches = now.work.branches - before.work.branches,
                   .tiles = now.work.tiles - before.work.tiles},
          .agreement = now.agreement - before.agreement};
}

PredictedBytes Ranks::predicted_bytes(const PassShape& pass, int64_t passes) const {
  const SequencePlace place{mesh_.sp_rank(), mesh_.sp};
  const int64_t layers = pass.layers * passes;
  return {
      .exact = {.attention = layers * predicted_layer_bytes(mode_, pass.sequence, place),
                .gathered = passes * predicted_gather_bytes(pass.sequence, place, pass.video_rows,
                                                            pass.output_row_bytes)},
      // With two branches each is predicted in one half of the ranks, once per step.
      .branches = mesh_.cp == 2 ? passes * pass.video_rows.size() * pass.output_row_bytes : 0,
      .split_heads = layers * split_head_bytes(mode_, pass.sequence, place),
      .attention_if_even =
          static_cast<double>(layers) * even_layer_bytes(mode_, pass.sequence, mesh_.sp)};
}

std::string traffic_text(const BytesMoved& moved, const PredictedBytes& predicted) {
  const auto megabytes = [](double bytes) {
    char text[32];
    std::snprintf(text, sizeof text, "%.2f MB", bytes / 1e6);
    return std::string(text);
  };
  return "rank 0 gave " + megabytes(static_cast<double>(moved.sequence.attention)) +
         " to others for attention; with even shares the formula says " +
         megabytes(predicted.attention_if_even) +
         (predicted.split_heads == 0 ? ""
                                     : ", and k and v of heads that ranks share are " +
                                           megabytes(static_cast<double>(predicted.split_heads)));
}

SequenceMode sequence_mode(const std::string& name) {
  return name == "gather" ? SequenceMode::kGather : SequenceMode::kUlysses;
}

PassShape pass_shape(const Request& request, const Checkpoint& checkpoint, at::Device device) {
  const TransformerConfig& c = checkpoint.transformer;
  const int64_t rows = joint_rows(request, checkpoint);
  return {.sequence = {rows, c.num_attention_heads, c.attention_head_dim, request.dtype, device},
          .layers = c.num_layers,
          .video_rows = {request.max_text_tokens, rows},
          .output_row_bytes = c.patch_elements() * c.out_channels *
                              static_cast<int64_t>(c10::elementSize(request.dtype))};
}

}  // namespace cogvx::app
