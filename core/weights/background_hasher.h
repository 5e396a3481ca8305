#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "core/weights/mapped_file.h"

namespace cogvx {

// SHA-256 of one range of a file after another, on a thread of its own: hashing takes about as long
// as packing the same weights.
class BackgroundHasher {
 public:
  // That it holds at most, the one that it hashes included.
  static constexpr int64_t kMostRanges = 2;

  BackgroundHasher();
  ~BackgroundHasher();
  BackgroundHasher(const BackgroundHasher&) = delete;
  BackgroundHasher& operator=(const BackgroundHasher&) = delete;

  // Writes the digest to `hex`, which must live until wait() has returned. Waits itself while
  // kMostRanges are ahead of it.
  void add(std::shared_ptr<const MappedRange> range, std::string& hex);
  // Until all digests are written.
  void wait();

 private:
  struct Job {
    std::shared_ptr<const MappedRange> range;
    std::string* hex;
  };
  void work();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;  // the first is being hashed
  bool quit_ = false;
  std::thread thread_;  // last, for it uses the others
};

}  // namespace cogvx
