#include "tests/parallel/thread_group.h"

#include <condition_variable>
#include <cstring>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace cogvx::test {
namespace {

// What one rank brings to an operation; the tensors keep the memory alive if that rank dies.
struct Post {
  at::Tensor send;
  Splits send_splits;
  at::Tensor recv;
  Splits recv_splits;
};

struct Operation {
  std::string kind;
  std::vector<Post> posts;
  int begun = 0;
  int waited = 0;
  bool moved = false;
};

uint8_t* bytes_of(const at::Tensor& tensor) {
  return static_cast<uint8_t*>(tensor.mutable_data_ptr());
}

// The place where the ranks meet. Operations are told apart by their number, the same on each rank.
class Exchange {
 public:
  explicit Exchange(int size) : size_(size), gone_(size) {}

  int size() const { return size_; }

  void begin(int64_t number, int rank, const std::string& kind, Post post) {
    std::lock_guard lock(mutex_);
    Operation& operation = operations_[number];
    if (operation.posts.empty()) {
      operation.posts.resize(size_);
      operation.kind = kind;
    }
    if (operation.kind != kind)
      throw std::logic_error("operation " + std::to_string(number) + " of rank " +
                             std::to_string(rank) + " is " + kind + ", another rank's is " +
                             operation.kind);
    operation.posts[rank] = std::move(post);
    ++operation.begun;
    changed_.notify_all();
  }

  void wait(int64_t number, int rank) {
    std::unique_lock lock(mutex_);
    Operation& operation = operations_.at(number);
    changed_.wait(lock, [&] { return operation.begun == size_ || somebody_is_gone(); });
    // A rank that ended after this operation has done its part of it.
    if (operation.begun < size_)
      throw PeerGone("rank " + std::to_string(rank) + ": another rank has gone, " + operation.kind +
                     " cannot be done");
    if (!operation.moved) move_all(operation);
    operation.moved = true;
    if (++operation.waited == size_) operations_.erase(number);
  }

  void leave(int rank) {
    std::lock_guard lock(mutex_);
    gone_[rank] = true;
    changed_.notify_all();
  }

 private:
  bool somebody_is_gone() const {
    for (bool gone : gone_) {
      if (gone) return true;
    }
    return false;
  }

  static void move_all(const Operation& operation) {
    const auto& posts = operation.posts;
    std::vector<int64_t> sent(posts.size(), 0);
    for (size_t to = 0; to < posts.size(); ++to) {
      int64_t received = 0;
      for (size_t from = 0; from < posts.size(); ++from) {
        const int64_t size = posts[from].send_splits[to];
        if (size != posts[to].recv_splits[from])
          throw std::logic_error("rank " + std::to_string(to) + " receives " +
                                 std::to_string(posts[to].recv_splits[from]) + " bytes from rank " +
                                 std::to_string(from) + ", which sends " + std::to_string(size));
        if (size > 0)
          std::memcpy(bytes_of(posts[to].recv) + received, bytes_of(posts[from].send) + sent[from],
                      size);
        received += size;
        sent[from] += size;
      }
    }
  }

  const int size_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<int64_t, Operation> operations_;
  std::vector<bool> gone_;
};

class ThreadGroup final : public Group {
 public:
  ThreadGroup(Exchange& exchange, int rank) : exchange_(exchange), rank_(rank) {}

  int rank() const override { return rank_; }
  int size() const override { return exchange_.size(); }

  Transfer begin_all_to_all(const at::Tensor& send, const Splits& send_splits,
                            const at::Tensor& recv, const Splits& recv_splits) override {
    check_all_to_all(size(), send, send_splits, recv, recv_splits);
    if (recv.numel() > 0) std::memset(bytes_of(recv), 0xA5, recv.numel());
    return begin("all-to-all", {send, send_splits, recv, recv_splits});
  }

  void broadcast(const at::Tensor& bytes, int root) override {
    check_broadcast(size(), bytes, root);
    Post post{bytes, Splits(size(), 0), bytes, Splits(size(), 0)};
    if (rank_ == root) {
      post.send = bytes.repeat({size()});  // once for each destination, itself included
      post.send_splits.assign(size(), bytes.numel());
    }
    post.recv_splits[root] = bytes.numel();
    begin("broadcast from " + std::to_string(root), post).wait();
  }

  void barrier() override { begin("barrier", empty_post()).wait(); }

 private:
  Post empty_post() const { return {{}, Splits(size(), 0), {}, Splits(size(), 0)}; }

  Transfer begin(const std::string& kind, Post post) {
    const int64_t number = next_++;
    exchange_.begin(number, rank_, kind, std::move(post));
    return Transfer([this, number] { exchange_.wait(number, rank_); });
  }

  Exchange& exchange_;
  int rank_;
  int64_t next_ = 0;
};

}  // namespace

namespace {

// Runs each rank on a thread of its own; `leave` tells those who wait for it that it has gone.
void run_threads(int size, const std::function<void(int)>& rank_main,
                 const std::function<void(int)>& leave) {
  std::vector<std::exception_ptr> failures(size);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank) {
    threads.emplace_back([&, rank] {
      try {
        rank_main(rank);
      } catch (...) {
        failures[rank] = std::current_exception();
      }
      leave(rank);
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::exception_ptr follow_up;
  for (const std::exception_ptr& failure : failures) {
    if (!failure) continue;
    try {
      std::rethrow_exception(failure);
    } catch (const PeerGone&) {
      if (!follow_up) follow_up = failure;
    }
  }
  if (follow_up) std::rethrow_exception(follow_up);
}

}  // namespace

void run_ranks(int size, const std::function<void(Group&)>& rank_main) {
  Exchange exchange(size);
  run_threads(
      size,
      [&](int rank) {
        ThreadGroup group(exchange, rank);
        rank_main(group);
      },
      [&](int rank) { exchange.leave(rank); });
}

void run_mesh(int cp, int sp, const std::function<void(const MeshGroups&)>& rank_main) {
  Exchange world(cp * sp);
  std::vector<std::unique_ptr<Exchange>> sequences, branches;
  for (int i = 0; i < cp; ++i) sequences.push_back(std::make_unique<Exchange>(sp));
  for (int i = 0; i < sp; ++i) branches.push_back(std::make_unique<Exchange>(cp));
  run_threads(
      cp * sp,
      [&](int rank) {
        const Mesh mesh = make_mesh(cp, sp, cp * sp, rank);
        ThreadGroup all(world, rank);
        ThreadGroup sequence(*sequences[mesh.cp_rank()], mesh.sp_rank());
        ThreadGroup branch(*branches[mesh.sp_rank()], mesh.cp_rank());
        rank_main({mesh, all, sequence, branch});
      },
      [&](int rank) {
        const Mesh mesh = make_mesh(cp, sp, cp * sp, rank);
        world.leave(rank);
        sequences[mesh.cp_rank()]->leave(mesh.sp_rank());
        branches[mesh.sp_rank()]->leave(mesh.cp_rank());
      });
}

}  // namespace cogvx::test
