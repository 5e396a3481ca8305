#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "io/frames.h"

namespace cogvx::io::test {

using Color = std::array<uint8_t, 3>;

Frames flat_frames(int count, FrameSize size, Color color);
// Every frame differs from the one before, and every pixel from its neighbours.
Frames moving_frames(int count, FrameSize size);

std::string read_bytes(const std::filesystem::path& path);
void write_bytes(const std::filesystem::path& path, const std::string& bytes);
// Sorted, hidden ones too.
std::vector<std::string> file_names(const std::filesystem::path& folder);

// The message of the error of this type that `action` throws; empty when it throws none.
template <typename ErrorType, typename Action>
std::string message_of(Action action) {
  try {
    action();
  } catch (const ErrorType& error) {
    return error.what();
  }
  return "";
}

// What the program prints on standard output; `command` is for the shell.
std::string output_of(const std::string& command);
bool has_program(const std::string& name);
// The path in single quotes, for the shell.
std::string shell(const std::filesystem::path& path);
// Runs the ffmpeg program; throws where it fails.
void ffmpeg(const std::string& arguments);

// A file (.mkv) that holds every pixel exactly, 8 frames a second.
void write_lossless(const std::filesystem::path& path, const Frames& frames);

// A forked process that runs `action` and ends with 0, or with 1 where that throws.
pid_t start_process(const std::function<void()>& action);
// Waits for it: its exit code, or 128 + the signal that ended it.
int end_of(pid_t process);

// While it lives, a file that grows beyond `bytes` cannot be written, as on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(uint64_t bytes);
  ~FileSizeLimit();
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  uint64_t former_limit_;
  void (*former_handler_)(int);
};

// While it lives, root has the rights of nobody: root may write everywhere.
class WithoutRootRights {
 public:
  WithoutRootRights();
  ~WithoutRootRights();
  WithoutRootRights(const WithoutRootRights&) = delete;
  WithoutRootRights& operator=(const WithoutRootRights&) = delete;

 private:
  bool was_root_;
};

}  // namespace cogvx::io::test
