#include "app/standard_streams.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <iostream>

#include "core/base/errors.h"

namespace cogvx::app {

void open_closed_streams() {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(descriptor, F_GETFD) >= 0) continue;
    // The lowest free number is this one; opened the wrong way round, so that using it fails.
    const int mode = descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY;
    if (::open("/dev/null", mode) < 0) return;
  }
}

void finish_standard_output(const std::string& what) {
  std::cout.flush();
  if (std::cout) return;
  throw OutputError("standard output cannot be written: " + what +
                    "; is it closed, or its disk full?");
}

std::string one_line(const std::string& text) {
  std::string line;
  for (const char letter : text) {
    const auto code = static_cast<unsigned char>(letter);
    if (code >= 0x20 && code != 0x7f) {
      line += letter;
      continue;
    }
    std::array<char, 8> shown{};
    std::snprintf(shown.data(), shown.size(), "\\x%02x", code);
    line += letter == '\n' ? "\\n" : shown.data();
  }
  return line;
}

}  // namespace cogvx::app
