#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace cogvx {

// Runs whole units of work on a fixed set of threads. ATen sees one thread everywhere: the
// constructor pins it for the calling thread and every worker pins its own, because ATen's kernels
// change their bytes with their thread count.
class ThreadPool {
 public:
  // threads >= 1, the caller included. Throws MemoryError when the system has no room for so many.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls unit(i) once for each i in [0, count), in any order on any thread; rethrows the first
  // exception after all threads have stopped. A call from inside a unit runs its units on the spot.
  void run(int64_t count, const std::function<void(int64_t)>& unit);

 private:
  void work();
  void stop();
  void take_units();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable done_;
  std::vector<std::thread> workers_;
  const std::function<void(int64_t)>* unit_ = nullptr;
  int64_t next_ = 0;
  int64_t count_ = 0;
  int busy_ = 0;
  uint64_t round_ = 0;
  bool quit_ = false;
  std::exception_ptr failure_;
};

}  // namespace cogvx
