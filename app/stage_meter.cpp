#include "app/stage_meter.h"

#include <c10/util/Exception.h>

#include <chrono>
#include <new>

#include "app/memory_check.h"
#include "core/base/errors.h"
#include "core/base/memory.h"

namespace cogvx::app {

void StageMeter::run(Stage stage, const std::function<void()>& work) {
  life_.show({stage});
  release_free_memory();
  reset_peak_resident();
  ops_.take_peak_bytes();
  const auto start = std::chrono::steady_clock::now();
  const int64_t need = predicted_bytes(host_, stage);
  try {
    work();
  } catch (const std::bad_alloc&) {
    throw out_of_memory(stage, need);
  } catch (const c10::OutOfMemoryError& error) {
    throw out_of_device_memory(stage, error.what_without_backtrace());
  } catch (const Error&) {
    throw;
  } catch (const std::exception&) {
    if (came_near_address_limit()) throw out_of_memory(stage, need);
    throw;
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  reports_.push_back({stage_name(stage), seconds.count(), peak_resident_bytes(), need,
                      ops_.take_peak_bytes(), predicted_bytes(device_, stage)});
}

}  // namespace cogvx::app
