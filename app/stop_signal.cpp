#include "app/stop_signal.h"

#include <unistd.h>

#include <csignal>

namespace cogvx::app {
namespace {

std::atomic<int> asked{0};

void on_signal(int signal) {
  if (asked.exchange(signal) != 0) _exit(128 + signal);
}

}  // namespace

const std::atomic<int>& stop_signal() { return asked; }

void watch_signals(std::initializer_list<int> signals) {
  struct sigaction action {};
  action.sa_handler = on_signal;
  for (const int signal : signals) sigaction(signal, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
}

}  // namespace cogvx::app
