#include "app/exit_code.h"

#include <new>

#include "core/base/errors.h"

namespace cogvx::app {

int exit_code_of(const std::exception& error) {
  const auto is = [&]<typename T>(const T*) { return dynamic_cast<const T*>(&error) != nullptr; };
  if (is(static_cast<const UsageError*>(nullptr))) return 2;
  if (is(static_cast<const DataError*>(nullptr))) return 3;
  if (is(static_cast<const DeviceError*>(nullptr))) return 4;
  if (is(static_cast<const MemoryError*>(nullptr)) ||
      is(static_cast<const std::bad_alloc*>(nullptr)))
    return 5;
  if (is(static_cast<const NumericError*>(nullptr))) return 6;
  if (is(static_cast<const DistributedError*>(nullptr))) return 7;
  if (is(static_cast<const OutputError*>(nullptr))) return 9;
  return 1;
}

}  // namespace cogvx::app
