#pragma once

#include <exception>

#include "core/base/errors.h"

namespace cogvx::app {

// Some videos of a batch could not be made, the others are (exit 8).
struct BatchFailed : Error {
  using Error::Error;
};

// The exit code that says what kind of error this is.
int exit_code_of(const std::exception& error);

}  // namespace cogvx::app
