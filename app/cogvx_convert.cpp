#include <unistd.h>

#include <csignal>
#include <exception>
#include <iostream>
#include <new>
#include <string>

#include "app/conversion.h"
#include "app/convert_options.h"
#include "app/standard_streams.h"
#include "app/stop_signal.h"
#include "core/base/errors.h"
#include "core/base/thread_pool.h"

namespace {

using namespace cogvx;
using namespace cogvx::app;

// One line that moves on a terminal, a new one at each tenth elsewhere.
class ProgressLine {
 public:
  void show(size_t done, size_t total, bool verifying) {
    const bool terminal = isatty(STDERR_FILENO) != 0;
    const int steps = terminal ? 1000 : 10;
    const int step =
        static_cast<int>(static_cast<double>(done) / static_cast<double>(total) * steps);
    if (step == last_ && verifying == verifying_) return;
    last_ = step;
    verifying_ = verifying;
    char text[96];
    std::snprintf(text, sizeof(text), "%s %.2f of %.2f GB", verifying ? "comparing" : "writing",
                  static_cast<double>(done) / 1e9, static_cast<double>(total) / 1e9);
    std::cerr << (terminal ? "\r" : "") << text << (terminal ? "   " : "\n") << std::flush;
    open_ = terminal;
  }
  void end() {
    if (open_) std::cerr << std::endl;
    open_ = false;
  }

 private:
  int last_ = -1;
  bool verifying_ = false;
  bool open_ = false;
};

int run(int argc, const char* const* argv, ProgressLine& line) {
  const ConvertOptions options = parse_convert_options(argc, argv);
  if (options.help) {
    std::cout << kConvertUsage;
    finish_standard_output("the answer is cut");
    return 0;
  }
  // ATen's own threads would take memory and no time from a copy.
  const ThreadPool one_thread(1);
  const ConversionPlan plan = plan_conversion(options);
  if (!options.quiet) {
    for (const std::string& notice : plan.notices) std::cerr << one_line(notice) << std::endl;
  }
  if (options.dry_run) {
    for (const ComponentPlan& component : plan.components) {
      for (const std::string& mapping : mapping_lines(component))
        std::cout << one_line(mapping) << "\n";
    }
    finish_standard_output("the mapping is cut");
    return 0;
  }
  ConversionWatch watch{.progress = {}, .stop = stop_signal()};
  if (!options.quiet) {
    watch.progress = [&](size_t done, size_t total, bool verifying) {
      line.show(done, total, verifying);
    };
  }
  convert(plan, options, watch);
  line.end();
  std::cout << one_line(options.out.string()) << "\n";
  finish_standard_output("the path is cut");
  return 0;
}

int exit_code_of(const std::exception& error) {
  if (stop_signal().load() != 0) return 128 + stop_signal().load();
  if (dynamic_cast<const UsageError*>(&error) != nullptr) return 2;
  if (dynamic_cast<const DataError*>(&error) != nullptr) return 3;
  if (dynamic_cast<const MemoryError*>(&error) != nullptr) return 5;
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) return 5;
  if (dynamic_cast<const OutputError*>(&error) != nullptr) return 9;
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  open_closed_streams();
  watch_signals({SIGINT, SIGTERM, SIGHUP});
  ProgressLine line;
  try {
    return run(argc, argv, line);
  } catch (const std::exception& error) {
    line.end();
    std::cerr << "cogvx-convert: error: " << one_line(error.what()) << std::endl;
    return exit_code_of(error);
  }
}
