#include "core/base/thread_pool.h"
#include "core/ops/cpu/cpu_ops.h"
#include "tests/core/golden/golden_ops.h"
#include "tests/support/cpu_path.h"
#include "tests/support/passing_ops.h"

namespace cogvx::test {
namespace {

class OwnedCpuOps final : public PassingOps {
 public:
  OwnedCpuOps() : PassingOps(static_cast<Ops&>(cpu_)), pool_(2), cpu_(pool_, test::cpu_path()) {}

 private:
  ThreadPool pool_;
  CpuOps cpu_;
};

}  // namespace

std::unique_ptr<Ops> make_golden_ops(at::ScalarType) { return std::make_unique<OwnedCpuOps>(); }

}  // namespace cogvx::test
