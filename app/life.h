#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "app/launch.h"
#include "parallel/heartbeat.h"

namespace cogvx::app {

// What this process shows the others of itself, so that one that hangs is named with where it was.
// Of a run of one process it does nothing.
class Life {
 public:
  // The sign of life begins; under our supervisor it is he who listens to it. Throws OutputError.
  void begin(const LaunchPlace& place);
  // Under any other launcher: listens to the others, all of which have met. A process that waits
  // for one that is silent cannot be woken, so `end` is called in another thread, with one line
  // that says who is silent and what was rescued; it must end the process.
  void listen(const LaunchPlace& place, int64_t limit_seconds,
              std::function<void(const std::string&)> end);

  // Leaves in order.
  void end() { heartbeat_.reset(); }

  void show(const Progress& now);
  // "rank 2 of 4, denoise, step 3 of 50, layer 12 of 30: "; empty for one process.
  std::string where() const;

  // While one lives, `rescue` is what can be done for the run by a process that must end at once,
  // from another thread; it returns what it has to say.
  class Rescue {
   public:
    Rescue(Life& life, std::function<std::string()> rescue);
    ~Rescue();
    Rescue(const Rescue&) = delete;
    Rescue& operator=(const Rescue&) = delete;

   private:
    Life& life_;
  };

 private:
  int rank_ = 0;
  std::mutex mutex_;
  std::function<std::string()> rescue_;
  std::shared_ptr<LifeBoard> board_;
  std::unique_ptr<Heartbeat> heartbeat_;  // the first to go
};

// Where the processes of one machine that meet at `meeting_file` share their signs.
std::string life_file(const std::string& meeting_file);

}  // namespace cogvx::app
