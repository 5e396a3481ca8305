#include <ATen/Version.h>

#include <csignal>
#include <exception>
#include <iostream>
#include <new>

#include "app/engine.h"
#include "app/generate.h"
#include "app/options.h"
#include "core/base/errors.h"
#include "core/ops/cuda_plugin.h"

namespace {

using namespace cogvx;
using namespace cogvx::app;

std::atomic<int> stop_signal{0};

// The first signal asks for a stop at the next safe point, the second ends the process at once.
void on_signal(int signal) {
  if (stop_signal.exchange(signal) != 0) _exit(128 + signal);
}

void watch_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

void print_version() {
  const Engine engine = find_engine();
  std::cout << "cogvx-gen " << engine.cogvx << "\nlibtorch " << engine.torch << "\n";
}

void list_devices() {
  const Engine engine = find_engine();
  std::cout << "cpu   " << available_cores() << " cores, " << engine.instruction_set << "\n"
            << "cuda  ";
  try {
    for (const CudaDevice& device : probe_cuda(program_folder()).devices) {
      std::cout << device.index << ": " << device.name << ", " << (device.memory_bytes >> 30)
                << " GiB; ";
    }
    std::cout << "not used by this version\n";
  } catch (const DeviceError& error) {
    std::cout << "none: " << error.what() << "\n";
  }
}

void run(int argc, const char* const* argv) {
  const Options options = parse_options(argc, argv);
  if (options.help) return print_help(std::cout);
  if (options.version) return print_version();
  if (options.completion) return print_completion(std::cout);
  if (options.list_devices) return list_devices();
  Console console(options);
  generate(options, console, stop_signal);
}

int exit_code_of(const std::exception& error) {
  const auto is = [&]<typename T>(const T*) { return dynamic_cast<const T*>(&error) != nullptr; };
  if (is(static_cast<const UsageError*>(nullptr))) return 2;
  if (is(static_cast<const DataError*>(nullptr))) return 3;
  if (is(static_cast<const DeviceError*>(nullptr))) return 4;
  if (is(static_cast<const MemoryError*>(nullptr)) ||
      is(static_cast<const std::bad_alloc*>(nullptr)))
    return 5;
  if (is(static_cast<const NumericError*>(nullptr))) return 6;
  if (is(static_cast<const OutputError*>(nullptr))) return 9;
  if (is(static_cast<const Interrupted*>(nullptr))) return 128 + stop_signal.load();
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  watch_signals();
  try {
    run(argc, argv);
    return 0;
  } catch (const std::exception& error) {
    const int code = exit_code_of(error);
    std::cerr << "cogvx-gen: error: " << (code == 1 ? "internal error: " : "") << error.what()
              << std::endl;
    return code;
  }
}
