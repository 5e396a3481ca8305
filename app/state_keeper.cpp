#include "app/state_keeper.h"

#include <nlohmann/json.hpp>

#include "app/engine.h"
#include "core/base/errors.h"

namespace cogvx::app {

bool StateKeeper::write(const DenoiseState& state) {
  try {
    write_state(plan_.state, {request_, engine_to_json(find_engine()).dump(), state});
    written_step_ = state.next_step;
    return true;
  } catch (const OutputError& error) {
    console_.warn(std::string("the state after step ") + std::to_string(state.next_step) +
                  " is not saved: " + error.what());
    return false;
  }
}

void StateKeeper::after_step(const DenoiseState& state) {
  const std::lock_guard lock(mutex_);
  last_ = state;
  if (plan_.checkpoint_every > 0 && state.next_step % plan_.checkpoint_every == 0) write(state);
}

std::string StateKeeper::keep_interrupted() {
  const std::lock_guard lock(mutex_);
  if (last_.next_step == 0) return "; no step was finished";
  if (written_step_ != last_.next_step && !write(last_)) return "";
  return "; step " + std::to_string(last_.next_step) + " is in " + plan_.state + ", go on with " +
         way_on_;
}

}  // namespace cogvx::app
