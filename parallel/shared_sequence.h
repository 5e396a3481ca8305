#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
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
  std::optional<int> head_groups{};  // of kUlysses; none: what the rule (ulysses_plan.h) says
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
  explicit SharedSequence(Group& group);

  void begin_sequence(const SequenceShape& shape) final;
  RowRange rows() const final { return rows_of_[attention_.rank()]; }
  at::Tensor gather_rows(const at::Tensor& x_rC, RowRange range) final;

  // Since construction.
  SequenceBytes bytes_sent() const { return {attention_.bytes_sent(), gathering_.bytes_sent()}; }

 protected:
  // Whether a begin waits for its finish.
  virtual bool under_way() const = 0;
  // Makes what a new shape needs; what the old one needed goes first.
  virtual void share() = 0;

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
  SequenceShape shape_;
  std::vector<RowRange> rows_of_;
};

// Throws UsageError.
std::unique_ptr<SharedSequence> make_shared_sequence(SequenceMode mode, Group& group,
                                                     SharingOptions options = {});

}  // namespace cogvx
