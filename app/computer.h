#pragma once

#include <memory>

#include "app/engine.h"
#include "core/base/thread_pool.h"
#include "core/ops/ops.h"
#include "core/pipeline/request.h"
#include "core/weights/checkpoint.h"

namespace cogvx::app {

// What computes a run: the device's Ops with all that they need, and the record of it.
class Computer {
 public:
  // Throws DeviceError or MemoryError where a GPU cannot be used.
  Computer(const Placement& placement, const Request& request, const Checkpoint& checkpoint);

  Ops& ops() { return *ops_; }
  const Engine& engine() const { return engine_; }

 private:
  ThreadPool pool_;
  std::unique_ptr<Ops> ops_;
  Engine engine_;
};

}  // namespace cogvx::app
