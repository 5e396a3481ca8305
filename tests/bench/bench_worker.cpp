#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/norm.h>

#include <chrono>
#include <exception>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "core/base/allocator.h"
#include "core/base/errors.h"
#include "core/base/memory.h"
#include "core/base/thread_pool.h"
#include "tests/bench/bench_case.h"

// One side of a comparison: loads one case, then does what standard input asks for, line by line,
// and answers each with a line of JSON. scripts/bench/worker.py is at the other end.
//   run           does the work once; its seconds
//   peak          the most memory since loading
//   save FILE     the last result as fp32 bytes
//   compare FILE  how far it is from one that was saved so: the relative L2
namespace cogvx::bench {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

int64_t resident_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    int64_t kilobytes = 0;
    if (word == "VmRSS:" && status >> kilobytes) return kilobytes * 1024;
  }
  return 0;
}

at::Tensor as_floats(const at::Tensor& result) {
  if (!result.defined()) throw UsageError("there is no result yet; say run first");
  return result.to(at::kFloat).contiguous();
}

void save(const at::Tensor& floats, const std::string& path) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(static_cast<const char*>(floats.const_data_ptr()),
             static_cast<std::streamsize>(floats.nbytes()));
  if (!file.flush()) throw OutputError(path + ": cannot be written");
}

double relative_l2(const at::Tensor& floats, const std::string& path) {
  const auto size = static_cast<std::streamsize>(floats.nbytes());
  at::Tensor saved = at::empty(floats.sizes(), floats.options());
  std::ifstream file(path, std::ios::binary);
  file.read(static_cast<char*>(saved.mutable_data_ptr()), size);
  if (file.gcount() != size || file.peek() != std::ifstream::traits_type::eof())
    throw DataError(path + ": holds another number of bytes than this side's result, " +
                    std::to_string(size));
  return ((saved - floats).norm() / floats.norm()).item<double>();
}

class Worker {
 public:
  explicit Worker(const CaseArguments& arguments)
      : pool_(static_cast<int>(arguments.number("threads"))), base_bytes_(resident_bytes()) {
    const Clock::time_point begin = Clock::now();
    case_ = load_case(arguments, pool_);
    answer({{"ready", true},
            {"flops", case_.flops},
            {"load_seconds", seconds_since(begin)},
            {"load_peak_bytes", peak_resident_bytes()}});
    release_free_memory();
    reset_peak_resident();
  }

  void obey(const std::string& line) {
    if (line == "run") {
      run();
    } else if (line == "peak") {
      answer({{"peak_bytes", peak_resident_bytes()}, {"base_bytes", base_bytes_}});
    } else if (line.starts_with("save ")) {
      save(result(), line.substr(5));
      answer({{"saved", true}});
    } else if (line.starts_with("compare ")) {
      answer({{"relative_l2", relative_l2(result(), line.substr(8))}});
    } else {
      throw UsageError("standard input says '" + line +
                       "', wanted run, peak, save FILE or "
                       "compare FILE");
    }
  }

 private:
  void run() {
    result_ = at::Tensor();
    const Clock::time_point begin = Clock::now();
    result_ = case_.iterate();
    answer({{"seconds", seconds_since(begin)}});
  }
  at::Tensor result() const { return as_floats(case_.result ? case_.result() : result_); }
  static void answer(const json& value) { std::cout << value.dump() << std::endl; }

  ThreadPool pool_;
  int64_t base_bytes_;
  BenchCase case_;
  at::Tensor result_;
};

}  // namespace
}  // namespace cogvx::bench

int main(int argc, char** argv) {
  try {
    cogvx::install_allocator();  // as cogvx-gen does
    cogvx::bench::Worker worker(cogvx::bench::CaseArguments(argc, argv));
    for (std::string line; std::getline(std::cin, line);) worker.obey(line);
    return 0;
  } catch (const std::exception& e) {
    std::cerr << "bench_worker: " << e.what() << '\n';
    return 1;
  }
}
