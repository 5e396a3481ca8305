#pragma once

#include <stdexcept>
#include <string>

namespace cogvx {

// Every error says place, thing, found, wanted and cure in one line. `app` maps the type to an exit
// code.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;

  const char* what() const noexcept override {
    return extended_.empty() ? std::runtime_error::what() : extended_.c_str();
  }
  // For a caller that knows what was saved or how to go on; rethrow with `throw;`.
  void add(const std::string& more) { extended_ = what() + more; }

 private:
  std::string extended_;
};
// The request itself is wrong (exit 2).
struct UsageError : Error {
  using Error::Error;
};
// A model or an input is missing or corrupt (exit 3).
struct DataError : Error {
  using Error::Error;
};
// No device can do this (exit 4).
struct DeviceError : Error {
  using Error::Error;
};
// Not enough memory (exit 5).
struct MemoryError : Error {
  using Error::Error;
};
// NaN or infinity where numbers belong (exit 6).
struct NumericError : Error {
  using Error::Error;
};
// Processes of one run lost each other, or do not agree (exit 7).
struct DistributedError : Error {
  using Error::Error;
};
// The output cannot be written (exit 9).
struct OutputError : Error {
  using Error::Error;
};
// A stop was asked for and taken at a safe point (exit 130 or 143).
struct Interrupted : Error {
  using Error::Error;
};

}  // namespace cogvx
