#include "parallel/group.h"

#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>

#include "core/base/shapes.h"

namespace cogvx {
namespace {

[[noreturn]] void fail(const std::string& what, int64_t found, int64_t wanted) {
  throw std::logic_error("group: " + what + " is " + std::to_string(found) + ", wanted " +
                         std::to_string(wanted));
}

void check_bytes(const char* what, const at::Tensor& bytes) {
  if (bytes.scalar_type() != at::kByte || bytes.dim() != 1 || !bytes.is_contiguous())
    throw std::logic_error(std::string("group: ") + what + " is a tensor of " +
                           at::toString(bytes.scalar_type()) + " " + shape_text(bytes.sizes()) +
                           ", wanted one contiguous row of bytes");
}

int64_t total(const Splits& splits) {
  return std::accumulate(splits.begin(), splits.end(), int64_t{0});
}

void check_splits(const std::string& what, int size, const at::Tensor& bytes,
                  const Splits& splits) {
  if (std::ssize(splits) != size) fail("number of " + what + " splits", std::ssize(splits), size);
  for (int64_t split : splits) {
    if (split < 0) fail("a " + what + " split", split, 0);
  }
  if (total(splits) != bytes.numel())
    fail("sum of " + what + " splits", total(splits), bytes.numel());
}

}  // namespace

void Transfer::wait() {
  if (!wait_) throw std::logic_error("group: wait without a transfer that was begun");
  // Gone before it runs: a wait that throws is not waited for again.
  std::exchange(wait_, nullptr)();
}

void Group::all_to_all(const at::Tensor& send, const Splits& send_splits, const at::Tensor& recv,
                       const Splits& recv_splits) {
  begin_all_to_all(send, send_splits, recv, recv_splits).wait();
}

void Group::all_gather_uneven(const at::Tensor& send, const Splits& splits,
                              const at::Tensor& recv) {
  check_bytes("what a gather receives", recv);
  check_splits("gather", size(), recv, splits);
  check_bytes("what a gather sends", send);
  if (send.numel() != splits[rank()])
    fail("size of what rank " + std::to_string(rank()) + " sends to a gather", send.numel(),
         splits[rank()]);
  int64_t offset = 0;
  for (int root = 0; root < size(); offset += splits[root++]) {
    if (splits[root] == 0) continue;
    const at::Tensor part = recv.narrow(0, offset, splits[root]);
    if (root == rank()) part.copy_(send);
    broadcast(part, root);
  }
}

void Group::gather_uneven(const at::Tensor& send, const Splits& splits, const at::Tensor& recv,
                          int root) {
  Splits send_splits(size(), 0);
  if (root < 0 || root >= size()) fail("a gather's root", root, size() - 1);
  send_splits[root] = send.numel();
  all_to_all(send, send_splits, recv, rank() == root ? splits : Splits(size(), 0));
}

void check_all_to_all(int size, const at::Tensor& send, const Splits& send_splits,
                      const at::Tensor& recv, const Splits& recv_splits) {
  check_bytes("what an all-to-all sends", send);
  check_bytes("what an all-to-all receives", recv);
  check_splits("send", size, send, send_splits);
  check_splits("receive", size, recv, recv_splits);
}

void check_broadcast(int size, const at::Tensor& bytes, int root) {
  check_bytes("what a broadcast moves", bytes);
  if (root < 0 || root >= size)
    throw std::logic_error("group: a broadcast's root is " + std::to_string(root) +
                           ", wanted 0 to " + std::to_string(size - 1));
}

Transfer SingleGroup::begin_all_to_all(const at::Tensor& send, const Splits& send_splits,
                                       const at::Tensor& recv, const Splits& recv_splits) {
  check_all_to_all(size(), send, send_splits, recv, recv_splits);
  if (send_splits[0] != recv_splits[0])
    fail("size of what rank 0 receives from rank 0", recv_splits[0], send_splits[0]);
  recv.copy_(send);
  return Transfer([] {});
}

void SingleGroup::broadcast(const at::Tensor& bytes, int root) {
  check_broadcast(size(), bytes, root);
}

}  // namespace cogvx
