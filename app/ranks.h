#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/pipeline/request.h"
#include "core/pipeline/work_exchange.h"
#include "core/transformer/sequence_exchange.h"
#include "core/weights/checkpoint.h"
#include "parallel/counting_group.h"
#include "parallel/device_choice.h"
#include "parallel/group.h"
#include "parallel/mesh.h"
#include "parallel/mesh_work.h"
#include "parallel/rendezvous.h"
#include "parallel/shared_sequence.h"

namespace cogvx::app {

// Bytes that this process gave to others, by purpose.
struct BytesMoved {
  SequenceBytes sequence;
  WorkBytes work;
  int64_t agreement = 0;  // hashes that are compared
};
// What was moved from `before` on.
BytesMoved moved_since(const BytesMoved& now, const BytesMoved& before);

// Of --sp-mode, "ulysses" or "gather".
SequenceMode sequence_mode(const std::string& name);

// All that decides how many bytes the forward passes of a video move.
struct PassShape {
  SequenceShape sequence;
  int64_t layers = 0;
  RowRange video_rows;           // those that the output is gathered from
  int64_t output_row_bytes = 0;  // of one such row
};
// `device`: where its tensors lie.
PassShape pass_shape(const Request& request, const Checkpoint& checkpoint, at::Device device);

// What the same process will have given away in the denoising steps.
struct PredictedBytes {
  SequenceBytes exact;
  int64_t branches = 0;
  int64_t split_heads = 0;       // of attention: k and v for further owners of split heads
  double attention_if_even = 0;  // the formula for rows and heads that divide evenly
};

// Both, for a line of text: what attention moved, what the formula says for even shares, and what
// split heads add to it.
std::string traffic_text(const BytesMoved& moved, const PredictedBytes& predicted);

// The GPU on which this process computes.
struct OwnGpu {
  GpuPlace place;                   // the same for whoever sees it
  std::filesystem::path libraries;  // where libcogvx_nccl.so lies
  int index = 0;                    // among those the process sees
  at::Device device = at::kCPU;     // of its tensors
  std::chrono::seconds patience{};  // with a transfer that does not end
};

// Where the processes of a run came together.
struct MeetingPlace {
  Rendezvous rendezvous;
  std::filesystem::path folder{};  // of the meeting file; empty: none
  bool for_gpus = false;           // they meet there again, in exchange_on
};

// This process among those of its run, and how it shares work with them. The last place that knows
// how many there are.
class Ranks {
 public:
  // A run of one process.
  Ranks();
  // Waits for the others. Throws DistributedError.
  Ranks(const Mesh& mesh, MeetingPlace meeting, SequenceMode mode);

  // From here on the sequence is exchanged between GPUs, over NCCL. Throws DeviceError where two
  // ranks would be on one GPU, and DistributedError. Once.
  void exchange_on(const OwnGpu& gpu);

  const Mesh& mesh() const { return mesh_; }
  bool is_first() const { return mesh_.rank == 0; }
  SequenceExchange& sequence() { return *sequence_exchange_; }
  WorkExchange& work() { return *work_; }
  // Every process's bytes in the order of the ranks, on rank 0; nothing elsewhere.
  std::vector<std::string> gather_at_first(std::string_view bytes);
  // Of what the processes say, the first that is not empty, for all of them.
  std::string first_said(std::string_view own);
  // Throws DistributedError where the processes hold different bytes.
  void agree(const std::string& what, const std::string& bytes);
  void agree(const std::string& what, const at::Tensor& tensor);
  void agree(const std::string& what, uint64_t value);
  // Since the start.
  BytesMoved bytes_moved() const;
  // After `passes` forward passes here, one per step and own branch.
  PredictedBytes predicted_bytes(const PassShape& pass, int64_t passes) const;

 private:
  GroupPlace sequence_place(const std::string& name) const;
  void share_sequence();
  void end_meeting();
  void exchange_over_nccl(const OwnGpu& gpu);

  Mesh mesh_;
  std::optional<MeetingPlace> meeting_;
  SequenceMode mode_ = SequenceMode::kUlysses;
  std::unique_ptr<Group> world_;
  std::unique_ptr<Group> sequence_;
  std::unique_ptr<Group> branches_;
  std::unique_ptr<CountingGroup> agreement_;
  std::unique_ptr<SequenceExchange> sequence_exchange_;
  std::unique_ptr<WorkExchange> work_;
  // The same objects where they share with others, else null.
  const SharedSequence* shared_sequence_ = nullptr;
  const MeshWork* mesh_work_ = nullptr;
};

}  // namespace cogvx::app
