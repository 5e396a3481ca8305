#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace cogvx::app {

// Whether the kernel's out-of-memory killer has struck since this was made: in this process's
// control group where that counts, else anywhere on the machine.
class OomKills {
 public:
  OomKills();
  // Files with a line "oom_kill N".
  explicit OomKills(std::vector<std::filesystem::path> counters);
  bool struck() const;

 private:
  std::vector<std::filesystem::path> counters_;
  int64_t before_ = 0;
};

}  // namespace cogvx::app
