#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/transformer/sequence_exchange.h"
#include "parallel/counting_group.h"

namespace cogvx {

// How the ranks of a group share attention; the bytes that come out are the same.
enum class SequenceMode {
  kUlysses,  // q, k, v travel to the owners of heads, the results back
  kGather    // k and v travel to everyone, q and the results stay
};

struct SharingOptions {
  // Groups of heads that travel one after another; more of them let bytes move while attention is
  // computed. Never more than there are heads.
  int64_t head_groups = 1;
};

// Bytes that a rank gave to others.
struct SequenceBytes {
  int64_t attention = 0;  // in all layers
  int64_t gathered = 0;   // through gather_rows
  bool operator==(const SequenceBytes&) const = default;
};

// What all ways to share one joint sequence [text | video] have in common: each rank owns whole
// blocks of rows, text like video, and every row is there exactly once. It moves bytes and computes
// nothing; a group of one moves them to itself. The group must outlive it.
class SharedSequence : public SequenceExchange {
 public:
  // Throws UsageError.
  SharedSequence(Group& group, SharingOptions options);

  void begin_sequence(const SequenceShape& shape) final;
  RowRange rows() const final { return rows_of_[attention_.rank()]; }
  std::span<const HeadGroup> head_groups() const final { return head_groups_; }
  at::Tensor gather_rows(const at::Tensor& x_rC, RowRange range) final;

  // Since construction.
  SequenceBytes bytes_sent() const { return {attention_.bytes_sent(), gathering_.bytes_sent()}; }

 protected:
  // Whether a begin waits for its finish.
  virtual bool under_way() const = 0;
  // Makes what the head groups of a new shape need; what the old ones needed goes first.
  virtual void share(std::span<const HeadGroup> groups) = 0;

  // Throws std::logic_error where the transfer that was begun before was not finished.
  static void check_begin(const Transfer& last);

  Group& attention_group() { return attention_; }
  int ranks() const { return attention_.size(); }
  int rank() const { return attention_.rank(); }
  const SequenceShape& shape() const { return shape_; }
  const std::vector<RowRange>& rows_of() const { return rows_of_; }  // per rank
  at::TensorOptions values() const {
    return at::TensorOptions().dtype(shape_.dtype).device(shape_.device);
  }

 private:
  CountingGroup attention_;
  CountingGroup gathering_;
  SharingOptions options_;
  SequenceShape shape_;
  std::vector<RowRange> rows_of_;
  std::vector<HeadGroup> head_groups_;
};

std::unique_ptr<SharedSequence> make_shared_sequence(SequenceMode mode, Group& group,
                                                     SharingOptions options = {});

}  // namespace cogvx
