#include "app/compare/number_text.h"

#include <array>
#include <cstdio>

namespace cogvx::app {

std::string number_text(const char* format, double value) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), format, value);
  return text.data();
}

}  // namespace cogvx::app
