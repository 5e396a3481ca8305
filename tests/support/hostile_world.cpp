// Preloaded into the program under test, this library makes its world misbehave:
//   COGVX_TEST_CLOCK=1        the wall clock jumps by hours, back and forth, at every look
//   COGVX_TEST_NO_PROC=1      /proc/self/exe cannot be read
//   COGVX_TEST_NO_BLOCK_OF=N  there is no block of memory of N or more bytes for a tensor
//   COGVX_TEST_NO_ENCODER=E   libav has no encoder of the name E
//   COGVX_TEST_FULL=F         the disk is full for files whose path holds F
//   COGVX_TEST_KILL=CALL      SIGKILL before the Nth call of open, write, fsync or rename (CALL)
//   ... COGVX_TEST_KILL_FILE=F    ... on a file whose path holds F COGVX_TEST_KILL_AT=N
//   COGVX_TEST_INSTEAD=W      then, for SIGKILL: `stop` is SIGSTOP, `throw` an exception, `memory`
//   no
//                             more memory for tensors
//   COGVX_TEST_WHEN=F         there is no more memory for tensors once there is a file F
//   COGVX_TEST_SEEN=F         a file F is made at that moment
//   COGVX_TEST_RANK=R         all this only in rank R of several processes

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

namespace {

// A variable's value, where it is meant for this process.
const char* test_variable(const char* name) {
  const char* value = getenv(name);
  const char* wanted = value == nullptr ? nullptr : getenv("COGVX_TEST_RANK");
  if (wanted == nullptr) return value;
  const char* rank = getenv("COGVX_RANK") == nullptr ? getenv("RANK") : getenv("COGVX_RANK");
  return rank != nullptr && strcmp(rank, wanted) == 0 ? value : nullptr;
}

std::atomic<bool> memory_is_gone{false};

void misbehave() {
  if (const char* seen = test_variable("COGVX_TEST_SEEN")) close(creat(seen, 0600));
  const char* instead = test_variable("COGVX_TEST_INSTEAD");
  if (instead == nullptr) {
    kill(getpid(), SIGKILL);
  } else if (strcmp(instead, "stop") == 0) {
    kill(getpid(), SIGSTOP);
  } else if (strcmp(instead, "memory") == 0) {
    memory_is_gone = true;
  } else {
    throw std::runtime_error("a fault that a test put here");
  }
}

template <typename Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

long jump() {
  static std::atomic<int> looks{0};
  constexpr long kHours[] = {0, -5, 7, -48, 1};
  return test_variable("COGVX_TEST_CLOCK") == nullptr ? 0 : 3600 * kHours[looks++ % 5];
}

bool has_text(const char* path, const char* text) {
  return path != nullptr && strstr(path, text) != nullptr;
}

void count_call(const char* call, const char* path, const char* other_path = nullptr) {
  const char* wanted_call = test_variable("COGVX_TEST_KILL");
  const char* wanted_file = test_variable("COGVX_TEST_KILL_FILE");
  const char* wanted_at = test_variable("COGVX_TEST_KILL_AT");
  if (wanted_call == nullptr || wanted_file == nullptr || wanted_at == nullptr) return;
  if (strcmp(call, wanted_call) != 0) return;
  if (!has_text(path, wanted_file) && !has_text(other_path, wanted_file)) return;
  static std::atomic<int> calls{0};
  if (++calls == atoi(wanted_at)) misbehave();
}

struct OpenPath {
  char text[4096] = {};

  explicit OpenPath(int descriptor) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    const auto real_readlink = next<ssize_t (*)(const char*, char*, size_t)>("readlink");
    if (real_readlink(link, text, sizeof text - 1) < 0) text[0] = 0;
  }
};

void count_call(const char* call, int descriptor) {
  if (test_variable("COGVX_TEST_KILL") != nullptr) count_call(call, OpenPath(descriptor).text);
}

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec* now) {
  const int result = next<int (*)(clockid_t, timespec*)>("clock_gettime")(clock, now);
  if (clock == CLOCK_REALTIME) now->tv_sec += jump();
  return result;
}

int gettimeofday(timeval* __restrict now, void* __restrict zone) {
  const int result = next<int (*)(timeval*, void*)>("gettimeofday")(now, zone);
  now->tv_sec += jump();
  return result;
}

time_t time(time_t* out) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  if (out != nullptr) *out = now.tv_sec;
  return now.tv_sec;
}

ssize_t readlink(const char* path, char* buffer, size_t size) {
  if (test_variable("COGVX_TEST_NO_PROC") != nullptr && strcmp(path, "/proc/self/exe") == 0) {
    errno = EACCES;
    return -1;
  }
  return next<ssize_t (*)(const char*, char*, size_t)>("readlink")(path, buffer, size);
}

int posix_memalign(void** block, size_t alignment, size_t size) {
  const char* gone = test_variable("COGVX_TEST_WHEN");
  if (memory_is_gone || (gone != nullptr && access(gone, F_OK) == 0)) return ENOMEM;
  const char* too_large = test_variable("COGVX_TEST_NO_BLOCK_OF");
  if (too_large != nullptr && size >= static_cast<size_t>(atol(too_large))) return ENOMEM;
  return next<int (*)(void**, size_t, size_t)>("posix_memalign")(block, alignment, size);
}

struct AVCodec;
const AVCodec* avcodec_find_encoder_by_name(const char* name) {
  const char* missing = test_variable("COGVX_TEST_NO_ENCODER");
  if (missing != nullptr && strcmp(name, missing) == 0) return nullptr;
  return next<const AVCodec* (*)(const char*)>("avcodec_find_encoder_by_name")(name);
}

// Like write it may throw: both are points where a thread can be cancelled.
int open(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = va_arg(more, mode_t);
  va_end(more);
  count_call("open", path);
  return next<int (*)(const char*, int, ...)>("open")(path, flags, mode);
}

ssize_t write(int descriptor, const void* data, size_t size) {
  count_call("write", descriptor);
  const char* full = test_variable("COGVX_TEST_FULL");
  if (full != nullptr && has_text(OpenPath(descriptor).text, full)) {
    errno = ENOSPC;
    return -1;
  }
  return next<ssize_t (*)(int, const void*, size_t)>("write")(descriptor, data, size);
}

int fsync(int descriptor) {
  count_call("fsync", descriptor);
  return next<int (*)(int)>("fsync")(descriptor);
}

int rename(const char* from, const char* to) {
  count_call("rename", from, to);
  return next<int (*)(const char*, const char*)>("rename")(from, to);
}

}  // extern "C"
