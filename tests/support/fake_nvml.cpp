// Stands in for NVIDIA's libnvidia-ml.so.1 where there is no driver: 80 GB GPUs of which
// COGVX_FAKE_NVML_USED bytes are used, by this process. COGVX_FAKE_NVML_STATUS is what asking for
// processes ends with.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

unsigned long long used_bytes() {
  const char* text = std::getenv("COGVX_FAKE_NVML_USED");
  return text == nullptr ? 0 : std::strtoull(text, nullptr, 10);
}

}  // namespace

extern "C" {

int nvmlInit_v2() { return 0; }
int nvmlShutdown() { return 0; }

int nvmlSystemGetDriverVersion(char* text, unsigned size) {
  std::snprintf(text, size, "580.65.06");
  return 0;
}

int nvmlDeviceGetHandleByUUID(const char* uuid, void** device) {
  *device = nullptr;
  return std::strncmp(uuid, "GPU-", 4) == 0 ? 0 : 6;
}

int nvmlDeviceGetMemoryInfo(void*, unsigned long long* total_free_used) {
  total_free_used[0] = 80'000'000'000;
  total_free_used[1] = total_free_used[0] - used_bytes();
  total_free_used[2] = used_bytes();
  return 0;
}

int nvmlDeviceGetComputeRunningProcesses_v3(void*, unsigned* count, unsigned char* processes) {
  const char* status = std::getenv("COGVX_FAKE_NVML_STATUS");
  if (status != nullptr) return std::atoi(status);
  *count = used_bytes() > 0 ? 1 : 0;
  const unsigned pid = static_cast<unsigned>(getpid());
  const unsigned long long bytes = used_bytes();
  std::memcpy(processes, &pid, sizeof pid);
  std::memcpy(processes + 8, &bytes, sizeof bytes);
  return 0;
}
}
