#include "tests/support/launch_emulator.h"

#include <stdexcept>

namespace cogvx::test {
namespace {

constexpr int32_t kMany = -2;

const char* name_of(Fault fault) {
  switch (fault) {
    case Fault::kIllegalLaunch:
      return "the launch is beyond the device's limits";
    case Fault::kReadOutside:
      return "read outside";
    case Fault::kWriteOutside:
      return "written outside";
    case Fault::kNeverWritten:
      return "never written";
    case Fault::kWrittenTwice:
      return "written twice";
    case Fault::kWrittenUnasked:
      return "written though not part of the output";
    case Fault::kRace:
      return "used by two threads without a barrier between";
    case Fault::kUnsetShared:
      return "shared memory read before it was written";
  }
  return "?";
}

}  // namespace

void GridWatch::input(const std::string& name, const void* begin, int64_t count, size_t element) {
  buffers_.push_back({.watch = this,
                      .name = name,
                      .begin = const_cast<char*>(static_cast<const char*>(begin)),
                      .count = count,
                      .element = element});
}

void GridWatch::output(const std::string& name, void* begin, int64_t count, size_t element,
                       std::vector<uint8_t> wanted) {
  input(name, begin, count, element);
  buffers_.back().cells.resize(static_cast<size_t>(count));
  buffers_.back().wanted = std::move(wanted);
}

WatchedBuffer* GridWatch::buffer_of(const void* pointer, size_t element) const {
  for (WatchedBuffer& buffer : buffers_) {
    const auto* at = static_cast<const char*>(pointer);
    const char* end = buffer.begin + buffer.count * static_cast<int64_t>(buffer.element);
    if (at >= buffer.begin && at < end && buffer.element == element) return &buffer;
  }
  throw std::logic_error("emulator: the call has a pointer into no buffer of its element size");
}

void GridWatch::start(const cuda::Launch& launch) {
  launch_ = launch;
  block_ = -1;
  shared_.assign(static_cast<size_t>(launch.shared_bytes) / sizeof(float), 0.0f);
  for (WatchedBuffer& buffer : buffers_) buffer.cells.assign(buffer.cells.size(), Cell{});
}

void GridWatch::at(const cuda::Spot& spot, int phase) {
  const auto block = static_cast<int32_t>(spot.y * launch_.x + spot.x);
  if (block != block_) shared_cells_.assign(shared_.size(), Cell{});
  block_ = block;
  thread_ = block * launch_.threads + spot.thread;
  phase_ = static_cast<int8_t>(phase);
}

// Threads of other blocks have no order at all; those of this block have one between phases.
void GridWatch::note_read(Cell& cell, const std::string& place) {
  if (cell.writer >= 0 && cell.writer != thread_ &&
      (cell.writer / launch_.threads != block_ || cell.write_phase == phase_)) {
    found(Fault::kRace, place);
  }
  const bool first = cell.read_block == -1;
  if (!first && cell.read_block != block_) {
    cell.read_block = kMany;
  } else {
    const bool alone = first || cell.reader == thread_ || cell.read_phase < phase_;
    cell.reader = alone ? thread_ : kMany;
    cell.read_block = block_;
  }
  cell.read_phase = phase_;
}

void GridWatch::note_write(Cell& cell, const std::string& place) {
  const bool read_elsewhere = cell.read_block != -1 && cell.read_block != block_;
  const bool read_now = cell.reader != -1 && cell.reader != thread_ && cell.read_phase == phase_;
  const bool written_by_other = cell.writer >= 0 && cell.writer != thread_;
  const bool writer_unordered =
      written_by_other && (cell.writer / launch_.threads != block_ || cell.write_phase == phase_);
  if (read_elsewhere || read_now || writer_unordered) found(Fault::kRace, place);
  cell.writer = thread_;
  cell.write_phase = phase_;
  ++cell.writes;
}

bool GridWatch::may_read(WatchedBuffer* buffer, int64_t i) {
  if (i < 0 || i >= buffer->count) {
    found(Fault::kReadOutside, buffer->name);
    return false;
  }
  if (!buffer->cells.empty()) note_read(buffer->cells[static_cast<size_t>(i)], buffer->name);
  return true;
}

bool GridWatch::may_write(WatchedBuffer* buffer, int64_t i) {
  if (i < 0 || i >= buffer->count || buffer->cells.empty()) {
    found(Fault::kWriteOutside, buffer->name);
    return false;
  }
  note_write(buffer->cells[static_cast<size_t>(i)], buffer->name);
  return true;
}

float GridWatch::read_shared(int64_t i) {
  if (i < 0 || i >= static_cast<int64_t>(shared_.size())) {
    found(Fault::kReadOutside, "shared");
    return 0;
  }
  Cell& cell = shared_cells_[static_cast<size_t>(i)];
  if (cell.writes == 0) found(Fault::kUnsetShared, "shared");
  note_read(cell, "shared");
  return shared_[static_cast<size_t>(i)];
}

void GridWatch::write_shared(int64_t i, float x) {
  if (i < 0 || i >= static_cast<int64_t>(shared_.size())) {
    found(Fault::kWriteOutside, "shared");
    return;
  }
  note_write(shared_cells_[static_cast<size_t>(i)], "shared");
  shared_[static_cast<size_t>(i)] = x;
}

void GridWatch::check_outputs() {
  for (const WatchedBuffer& buffer : buffers_) {
    for (size_t i = 0; i < buffer.cells.size(); ++i) {
      const int wanted = buffer.wanted.empty() ? 1 : buffer.wanted[i];
      const int writes = buffer.cells[i].writes;
      if (writes == wanted) continue;
      const Fault fault = wanted == 0   ? Fault::kWrittenUnasked
                          : writes == 0 ? Fault::kNeverWritten
                                        : Fault::kWrittenTwice;
      found(fault, buffer.name + "[" + std::to_string(i) + "]");
    }
  }
}

void GridWatch::found(Fault fault, const std::string& place) {
  if (++faults_[fault] > 1) return;
  report_ += place + ": " + name_of(fault) + " (thread " + std::to_string(thread_) + ", phase " +
             std::to_string(phase_) + ")\n";
}

}  // namespace cogvx::test
