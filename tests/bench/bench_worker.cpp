#include <ATen/core/Tensor.h>

#include <chrono>
#include <exception>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "core/base/errors.h"
#include "core/base/memory.h"
#include "core/base/thread_pool.h"
#include "tests/bench/bench_case.h"

// One side of a comparison: loads one case, then does what standard input asks for, line by line,
// and answers each with a line of JSON. scripts/bench/worker.py is at the other end.
//   run        does the work once; its seconds
//   peak       the most memory since loading
//   save FILE  the last result as fp32 bytes
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

void save(const at::Tensor& result, const std::string& path) {
  const at::Tensor plain = result.to(at::kFloat).contiguous();
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(static_cast<const char*>(plain.const_data_ptr()), plain.nbytes());
  if (!file.flush()) throw OutputError(path + ": cannot be written");
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
      save(case_.result ? case_.result() : result_, line.substr(5));
      answer({{"saved", true}});
    } else {
      throw UsageError("standard input says '" + line + "', wanted run, peak or save FILE");
    }
  }

 private:
  void run() {
    result_ = at::Tensor();
    const Clock::time_point begin = Clock::now();
    result_ = case_.iterate();
    answer({{"seconds", seconds_since(begin)}});
  }
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
    cogvx::bench::Worker worker(cogvx::bench::CaseArguments(argc, argv));
    for (std::string line; std::getline(std::cin, line);) worker.obey(line);
    return 0;
  } catch (const std::exception& e) {
    std::cerr << "bench_worker: " << e.what() << '\n';
    return 1;
  }
}
