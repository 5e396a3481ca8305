#pragma once

#include <memory>
#include <vector>

#include "app/engine.h"
#include "app/ranks.h"
#include "core/base/thread_pool.h"
#include "core/ops/chooser.h"
#include "core/ops/ops.h"
#include "core/pipeline/request.h"

namespace cogvx::app {

// What computes a run: the device's Ops with all that they need, and the record of it.
class Computer {
 public:
  // Throws DeviceError or MemoryError where a GPU cannot be used.
  Computer(const Placement& placement, const Request& request, Ranks& ranks);

  // The kernels that were picked for layers that are shared out, as they were.
  const std::vector<Verdict>& kernels() const { return kernels_; }
  ThreadPool& pool() { return pool_; }
  Ops& ops() { return *ops_; }
  const Engine& engine() const { return engine_; }

 private:
  void compute_on_gpu(const Placement& placement, const Request& request, Ranks& ranks);

  ThreadPool pool_;
  std::vector<Verdict> kernels_;
  std::unique_ptr<Ops> ops_;
  Engine engine_;
};

}  // namespace cogvx::app
