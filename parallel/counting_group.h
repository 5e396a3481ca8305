#pragma once

#include "parallel/group.h"

namespace cogvx {

// Counts the bytes that this rank gives to other ranks through `group`: each byte once per rank it
// is for, whatever way a backend takes. One for each purpose tells what the traffic is for; the
// group must outlive it.
class CountingGroup final : public Group {
 public:
  explicit CountingGroup(Group& group) : group_(group) {}

  int rank() const override { return group_.rank(); }
  int size() const override { return group_.size(); }
  Transfer begin_all_to_all(const at::Tensor& send, const Splits& send_splits,
                            const at::Tensor& recv, const Splits& recv_splits) override;
  void broadcast(const at::Tensor& bytes, int root) override;
  void barrier() override { group_.barrier(); }
  void settle() override { group_.settle(); }

  int64_t bytes_sent() const { return bytes_sent_; }

 private:
  Group& group_;
  int64_t bytes_sent_ = 0;
};

}  // namespace cogvx
