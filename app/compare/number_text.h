#pragma once

#include <string>

namespace cogvx::app {

// As printf does it: "%.2f"; "inf" for infinity.
std::string number_text(const char* format, double value);

}  // namespace cogvx::app
