#include "tests/io/io_test_support.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "io/video_writer.h"

// x265 loses copies of its own parameter strings.
extern "C" const char* __lsan_default_suppressions() { return "leak:libx265.so\n"; }

namespace cogvx::io::test {

Frames flat_frames(int count, FrameSize size, Color color) {
  Frames frames{.pixels = {}, .count = count, .size = size};
  frames.pixels.resize(static_cast<size_t>(count) * size.bytes());
  for (size_t i = 0; i < frames.pixels.size(); ++i) frames.pixels[i] = color[i % 3];
  return frames;
}

Frames moving_frames(int count, FrameSize size) {
  Frames frames{.pixels = {}, .count = count, .size = size};
  frames.pixels.reserve(static_cast<size_t>(count) * size.bytes());
  for (int f = 0; f < count; ++f) {
    for (int y = 0; y < size.height; ++y) {
      for (int x = 0; x < size.width; ++x) {
        frames.pixels.push_back(static_cast<uint8_t>(3 * x + 5 * f));
        frames.pixels.push_back(static_cast<uint8_t>(2 * y + 7 * f));
        frames.pixels.push_back(static_cast<uint8_t>(x + y + 11 * f));
      }
    }
  }
  return frames;
}

std::string read_bytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path.string());
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void write_bytes(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

std::vector<std::string> file_names(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string output_of(const std::string& command) {
  FILE* const pipe = popen(command.c_str(), "r");
  if (!pipe) throw std::runtime_error("cannot run " + command);
  std::string output;
  std::array<char, 4096> part{};
  while (const size_t count = fread(part.data(), 1, part.size(), pipe)) {
    output.append(part.data(), count);
  }
  if (pclose(pipe) != 0) throw std::runtime_error("failed: " + command);
  return output;
}

bool has_program(const std::string& name) {
  return std::system(("command -v " + name + " >/dev/null").c_str()) == 0;
}

std::string shell(const std::filesystem::path& path) {
  return std::string("'").append(path.string()).append("'");
}

void ffmpeg(const std::string& arguments) {
  const std::string command = "ffmpeg -v error -y " + arguments;
  if (std::system(command.c_str()) != 0) throw std::runtime_error("failed: " + command);
}

void write_lossless(const std::filesystem::path& path, const Frames& frames) {
  write_video(path, frames.view(), {.codec = VideoCodec::kFfv1});
}

pid_t start_process(const std::function<void()>& action) {
  const pid_t process = fork();
  if (process < 0) throw std::runtime_error("cannot fork");
  if (process > 0) return process;
  try {
    action();
  } catch (...) {
    _exit(1);
  }
  _exit(0);
}

int end_of(pid_t process) {
  int status = 0;
  waitpid(process, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

FileSizeLimit::FileSizeLimit(uint64_t bytes) {
  rlimit limit{};
  getrlimit(RLIMIT_FSIZE, &limit);
  former_limit_ = limit.rlim_cur;
  former_handler_ = std::signal(SIGXFSZ, SIG_IGN);
  limit.rlim_cur = bytes;
  if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
    throw std::runtime_error("cannot set the file size limit");
}

FileSizeLimit::~FileSizeLimit() {
  rlimit limit{};
  getrlimit(RLIMIT_FSIZE, &limit);
  limit.rlim_cur = former_limit_;
  setrlimit(RLIMIT_FSIZE, &limit);
  std::signal(SIGXFSZ, former_handler_);
}

WithoutRootRights::WithoutRootRights() : was_root_(geteuid() == 0) {
  constexpr uid_t kNobody = 65534;
  if (was_root_ && seteuid(kNobody) != 0) throw std::runtime_error("cannot give up root's rights");
}

WithoutRootRights::~WithoutRootRights() {
  if (was_root_ && seteuid(0) != 0) std::abort();
}

}  // namespace cogvx::io::test
