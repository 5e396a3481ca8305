#include "core/weights/background_hasher.h"

#include <system_error>
#include <utility>

#include "core/base/errors.h"
#include "core/base/sha256.h"

namespace cogvx {

BackgroundHasher::BackgroundHasher() {
  try {
    thread_ = std::thread([this] { work(); });
  } catch (const std::system_error&) {
    throw MemoryError(
        "no room for a thread that hashes weights; is the number of processes limited (ulimit "
        "-u)?");
  }
}

BackgroundHasher::~BackgroundHasher() {
  {
    const std::lock_guard lock(mutex_);
    quit_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void BackgroundHasher::add(std::shared_ptr<const MappedRange> range, std::string& hex) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return std::ssize(jobs_) < kMostRanges; });
  jobs_.push_back({std::move(range), &hex});
  changed_.notify_all();
}

void BackgroundHasher::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return jobs_.empty(); });
}

void BackgroundHasher::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return quit_ || !jobs_.empty(); });
    if (quit_) return;
    Job job = std::move(jobs_.front());
    lock.unlock();
    *job.hex = sha256_hex(job.range->bytes().data(), job.range->bytes().size());
    job.range.reset();
    lock.lock();
    jobs_.pop_front();
    changed_.notify_all();
  }
}

}  // namespace cogvx
