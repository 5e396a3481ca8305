#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "core/base/thread_pool.h"

namespace cogvx::bench {

// What a worker is started with, name=value each; scripts/bench/cases.py has the names.
class CaseArguments {
 public:
  // Throws UsageError for one that is no name=value.
  CaseArguments(int argc, char** argv);
  // Throw UsageError for one that is missing or no number.
  const std::string& text(const std::string& name) const;
  int64_t number(const std::string& name) const;
  at::ScalarType dtype() const;

 private:
  std::map<std::string, std::string> values_;
};

// One case, loaded and ready to be timed.
struct BenchCase {
  double flops = 0;  // of one iteration, products and sums
  // Does the work once. The result is what the other side's is compared with.
  std::function<at::Tensor()> iterate;
  // For work whose own result is no tensor of that kind; empty: what `iterate` gave last.
  std::function<at::Tensor()> result{};
};

// Weights and inputs are alike on both sides (tests/support/tiny_checkpoint.h makes the inputs).
// Throws UsageError for a kind that is none.
BenchCase load_case(const CaseArguments& arguments, ThreadPool& pool);

// The products of x_RK W_NK^T alone, on packed weights in tiles of 64 rows, which is the most that
// this library makes of the machine.
BenchCase brgemm_case(const CaseArguments& arguments, ThreadPool& pool);

// Both sides' numbers from a name, rounded to `dtype`.
at::Tensor bench_input(const std::string& name, at::IntArrayRef shape, at::ScalarType dtype);

}  // namespace cogvx::bench
