#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace cogvx {

// Bytes per rank, in rank order.
using Splits = std::vector<int64_t>;

// Bytes on their way. Until wait() returns, the sender leaves its tensor as it is and the receiver
// does not look at its own.
class Transfer {
 public:
  Transfer() = default;
  explicit Transfer(std::function<void()> wait) : wait_(std::move(wait)) {}

  // True between begin and wait.
  bool pending() const { return static_cast<bool>(wait_); }
  // Once per transfer; throws std::logic_error when nothing is on its way.
  void wait();

 private:
  std::function<void()> wait_;
};

// Ranks that move bytes among each other. There is no reduction here and there will be none: bytes
// are never added, so no summation order can depend on the number of ranks. Every tensor is a
// contiguous one of bytes, every rank calls the same operations in the same order, and sizes are
// known to both ends beforehand. Splits may be uneven, and zero.
class Group {
 public:
  virtual ~Group() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;

  // send: first send_splits[0] bytes for rank 0, then send_splits[1] for rank 1...; recv likewise
  // by sender. A backend may finish at once.
  virtual Transfer begin_all_to_all(const at::Tensor& send, const Splits& send_splits,
                                    const at::Tensor& recv, const Splits& recv_splits) = 0;
  // The root's bytes -> everyone's `bytes`.
  virtual void broadcast(const at::Tensor& bytes, int root) = 0;
  virtual void barrier() = 0;
  // Where waits order a device's stream and not the host: the host waits here, before it looks at
  // bytes that came over the group. Elsewhere nothing is left to wait for.
  virtual void settle() {}

  // The rest is made of the three above, because backends refuse uneven gathers.
  void all_to_all(const at::Tensor& send, const Splits& send_splits, const at::Tensor& recv,
                  const Splits& recv_splits);
  // Each rank's `send`, of splits[rank] bytes -> side by side in `recv`, on everyone.
  void all_gather_uneven(const at::Tensor& send, const Splits& splits, const at::Tensor& recv);
  // The same on the root only; elsewhere `recv` is an empty tensor.
  void gather_uneven(const at::Tensor& send, const Splits& splits, const at::Tensor& recv,
                     int root);
};

// For implementations: throws std::logic_error unless the tensors are contiguous bytes and the
// splits, one for each of `size` ranks, add up to them.
void check_all_to_all(int size, const at::Tensor& send, const Splits& send_splits,
                      const at::Tensor& recv, const Splits& recv_splits);
void check_broadcast(int size, const at::Tensor& bytes, int root);

// A group of one: what it sends it receives.
class SingleGroup final : public Group {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  Transfer begin_all_to_all(const at::Tensor& send, const Splits& send_splits,
                            const at::Tensor& recv, const Splits& recv_splits) override;
  void broadcast(const at::Tensor& bytes, int root) override;
  void barrier() override {}
};

}  // namespace cogvx
