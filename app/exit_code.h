#pragma once

#include <exception>

namespace cogvx::app {

// Of a batch that finished with failures.
inline constexpr int kBatchFailures = 8;

// The exit code that says what kind of error this is.
int exit_code_of(const std::exception& error);

}  // namespace cogvx::app
