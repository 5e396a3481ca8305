#include "core/base/thread_pool.h"

#include <ATen/Parallel.h>

#include <exception>
#include <string>

#include "core/base/errors.h"

namespace cogvx {
namespace {
thread_local bool inside_unit = false;
}

ThreadPool::ThreadPool(int threads) {
  if (threads < 1) throw UsageError("threads is " + std::to_string(threads) + ", wanted 1 or more");
  at::set_num_threads(1);
  try {
    while (size() < threads) workers_.emplace_back([this] { work(); });
  } catch (const std::exception& error) {  // std::system_error or std::bad_alloc
    const int started = size();
    stop();
    throw MemoryError("cannot start thread " + std::to_string(started + 1) + " of " +
                      std::to_string(threads) + ": " + error.what() + "; ask for fewer threads");
  }
}

ThreadPool::~ThreadPool() { stop(); }

void ThreadPool::stop() {
  {
    std::lock_guard lock(mutex_);
    quit_ = true;
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
  workers_.clear();
}

void ThreadPool::run(int64_t count, const std::function<void(int64_t)>& unit) {
  if (inside_unit || workers_.empty() || count <= 1) {
    for (int64_t i = 0; i < count; ++i) unit(i);
    return;
  }
  {
    std::lock_guard lock(mutex_);
    unit_ = &unit;
    next_ = 0;
    count_ = count;
    busy_ = size();
    failure_ = nullptr;
    ++round_;
  }
  wake_.notify_all();
  take_units();
  std::unique_lock lock(mutex_);
  done_.wait(lock, [this] { return busy_ == 0; });
  unit_ = nullptr;
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

void ThreadPool::take_units() {
  inside_unit = true;
  std::unique_lock lock(mutex_);
  while (next_ < count_) {
    const int64_t i = next_++;
    lock.unlock();
    try {
      (*unit_)(i);
      lock.lock();
    } catch (...) {
      lock.lock();
      if (!failure_) failure_ = std::current_exception();
      next_ = count_;
    }
  }
  inside_unit = false;
  if (--busy_ == 0) done_.notify_all();
}

void ThreadPool::work() {
  at::set_num_threads(1);
  // ATen settles a thread's number on its first use; used now, a later call elsewhere cannot change
  // it.
  (void)at::get_num_threads();
  uint64_t seen = 0;
  while (true) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return quit_ || round_ != seen; });
      if (quit_) return;
      seen = round_;
    }
    take_units();
  }
}

}  // namespace cogvx
