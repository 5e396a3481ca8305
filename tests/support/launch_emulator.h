#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "core/ops/cuda/host_grid.h"

// Runs a CUDA kernel's grid on the CPU and watches every access: each output element must be
// written once, nothing outside a buffer touched, nothing read that another thread writes without a
// barrier between them.
namespace cogvx::test {

enum class Fault {
  kIllegalLaunch,
  kReadOutside,
  kWriteOutside,
  kNeverWritten,
  kWrittenTwice,
  kWrittenUnasked,
  kRace,
  kUnsetShared,
};

class GridWatch;

// What happened to one element.
struct Cell {
  int32_t writer = -1;  // thread of the grid; -1: none
  int32_t reader = -1;  // kMany: more than one since the last barrier
  int32_t read_block = -1;
  int32_t writes = 0;
  int8_t write_phase = 0;
  int8_t read_phase = 0;
};

struct WatchedBuffer {
  GridWatch* watch = nullptr;
  std::string name;
  char* begin = nullptr;
  int64_t count = 0;
  size_t element = 0;
  std::vector<Cell> cells;      // outputs only
  std::vector<uint8_t> wanted;  // which elements are to be written; empty: all
};

// A position in a buffer that stands in for a pointer to T.
template <typename T>
struct WatchedPointer {
  WatchedBuffer* buffer = nullptr;
  int64_t first = 0;
  T* at(int64_t i) const { return reinterpret_cast<T*>(buffer->begin) + first + i; }
};

struct WatchedShared {
  GridWatch* watch = nullptr;
};

class GridWatch {
 public:
  // Memory policy of the kernels. Pointers that no buffer holds are a std::logic_error.
  template <typename T>
  using In = WatchedPointer<T>;
  template <typename T>
  using Out = WatchedPointer<T>;
  using Shared = WatchedShared;
  template <typename T>
  WatchedPointer<T> in(const void* pointer) const {
    return find<T>(pointer);
  }
  template <typename T>
  WatchedPointer<T> out(void* pointer) const {
    return find<T>(pointer);
  }

  void input(const std::string& name, const void* begin, int64_t count, size_t element);
  // One byte for each element in `wanted`; empty: every element is to be written.
  void output(const std::string& name, void* begin, int64_t count, size_t element,
              std::vector<uint8_t> wanted = {});

  // Runs the call's kernel and looks at the outputs.
  template <typename Call>
  void run(const Call& call) {
    cuda::with_kernel(call, *this, [this](const auto& kernel) { run_kernel(kernel); });
  }
  template <typename Kernel>
  void run_kernel(const Kernel& kernel) {
    const cuda::Launch launch = kernel.launch();
    if (!is_legal(launch)) return found(Fault::kIllegalLaunch, "launch");
    start(launch);
    run_grid(kernel, WatchedShared{this}, *this);
    check_outputs();
  }

  void at(const cuda::Spot& spot, int phase);
  bool may_read(WatchedBuffer* buffer, int64_t i);
  bool may_write(WatchedBuffer* buffer, int64_t i);
  float read_shared(int64_t i);
  void write_shared(int64_t i, float x);

  int64_t count(Fault fault) const {
    const auto it = faults_.find(fault);
    return it == faults_.end() ? 0 : it->second;
  }
  bool clean() const { return faults_.empty(); }
  // The first of each kind, one a line.
  const std::string& report() const { return report_; }

 private:
  template <typename T>
  WatchedPointer<T> find(const void* pointer) const {
    if (pointer == nullptr) return {};
    WatchedBuffer* buffer = buffer_of(pointer, sizeof(T));
    return {buffer, static_cast<const T*>(pointer) - reinterpret_cast<const T*>(buffer->begin)};
  }
  WatchedBuffer* buffer_of(const void* pointer, size_t element) const;
  void start(const cuda::Launch& launch);
  void note_read(Cell& cell, const std::string& place);
  void note_write(Cell& cell, const std::string& place);
  void found(Fault fault, const std::string& place);
  void check_outputs();

  mutable std::deque<WatchedBuffer> buffers_;
  cuda::Launch launch_{};
  int32_t thread_ = 0;
  int32_t block_ = -1;
  int8_t phase_ = 0;
  std::vector<float> shared_;
  std::vector<Cell> shared_cells_;
  std::map<Fault, int64_t> faults_;
  std::string report_;
};

// The functions through which kernels reach memory (row_functions.h).
template <typename T>
float read(WatchedPointer<T> from, int64_t i) {
  return from.buffer->watch->may_read(from.buffer, from.first + i) ? load(*from.at(i)) : 0.0f;
}
inline float read(WatchedPointer<float> from, int64_t i) {
  return from.buffer->watch->may_read(from.buffer, from.first + i) ? *from.at(i) : 0.0f;
}
template <typename T>
void write(WatchedPointer<T> to, int64_t i, float x) {
  if (to.buffer->watch->may_write(to.buffer, to.first + i)) store(*to.at(i), x);
}
inline void write(WatchedPointer<float> to, int64_t i, float x) {
  if (to.buffer->watch->may_write(to.buffer, to.first + i)) *to.at(i) = x;
}
inline void write_byte(WatchedPointer<uint8_t> to, int64_t i, uint8_t x) {
  if (to.buffer->watch->may_write(to.buffer, to.first + i)) *to.at(i) = x;
}
template <typename T>
void copy(WatchedPointer<T> to, int64_t i, WatchedPointer<T> from, int64_t j) {
  const bool readable = from.buffer->watch->may_read(from.buffer, from.first + j);
  if (to.buffer->watch->may_write(to.buffer, to.first + i) && readable) *to.at(i) = *from.at(j);
}
template <typename T>
bool is_null(WatchedPointer<T> pointer) {
  return pointer.buffer == nullptr;
}
inline float read(WatchedShared shared, int64_t i) { return shared.watch->read_shared(i); }
inline void write(WatchedShared shared, int64_t i, float x) { shared.watch->write_shared(i, x); }

}  // namespace cogvx::test
