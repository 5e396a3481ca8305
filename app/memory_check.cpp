#include "app/memory_check.h"

#include <algorithm>
#include <cstdio>

#include "core/base/memory.h"

namespace cogvx::app {
namespace {

// The plan is an upper estimate; below this share of it no run has been seen.
constexpr double kLeastShareOfPlan = 0.8;

// For code that libraries generate at run time. oneDNN crashes where it gets no room for it, so the
// last megabytes below the limit are not tried.
constexpr int64_t kGeneratedCode = 32 << 20;

constexpr char kCure[] = "fewer --frames, a smaller size, --dtype bf16, or a smaller --vae-tile";

std::string need_against_have(int64_t need, const MemoryLimit& limit, int processes = 1) {
  const std::string all =
      processes > 1 ? " for the " + std::to_string(processes) + " processes here" : "";
  return "needs about " + gigabytes(need) + all + ", " + limit.name + " is " +
         gigabytes(limit.bytes) + " (" + gigabytes(available_memory_bytes()) + " free); " +
         (processes > 1 ? "use fewer processes, " : "use ") + kCure;
}

}  // namespace

std::string gigabytes(int64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f GB", static_cast<double>(bytes) / 1e9);
  return text;
}

const char* memory_cure() { return kCure; }

int64_t predicted_bytes(const MemoryPlan& plan, Stage stage) {
  return stage == Stage::kEncodeText    ? plan.encode_text
         : stage == Stage::kEncodeVideo ? plan.encode_video
         : stage == Stage::kDenoise     ? plan.denoise
         : stage == Stage::kDecode      ? plan.decode
                                        : 0;
}

MemoryNeed memory_need(const Checkpoint& checkpoint, const Request& request, int threads,
                       int processes) {
  return {.first = plan_memory(checkpoint, request, threads),
          .helper = plan_helper_memory(checkpoint, request, threads),
          .processes = processes};
}

void check_memory(const MemoryNeed& run, const std::vector<Stage>& stages,
                  std::vector<std::string>& notices) {
  const MemoryLimit limit = memory_limit();
  const int64_t available = available_memory_bytes();
  for (const Stage stage : stages) {
    // Addresses are limited for each process, bytes for all of them together.
    const int processes = limit.counts_addresses ? 1 : run.processes;
    const int64_t need =
        predicted_bytes(run.first, stage) + (processes - 1) * predicted_bytes(run.helper, stage);
    const int64_t least = limit.counts_addresses
                              ? need + idle_address_bytes() + kGeneratedCode
                              : static_cast<int64_t>(kLeastShareOfPlan * static_cast<double>(need));
    if (least > limit.bytes) {
      throw MemoryError(std::string(stage_name(stage)) + " " +
                        need_against_have(std::max(need, least), limit, processes));
    }
    if (available > 0 && need > available) {
      notices.push_back(std::string(stage_name(stage)) + " needs about " + gigabytes(need) +
                        " of memory, only " + gigabytes(available) + " are free now");
    }
  }
}

MemoryError out_of_memory(Stage stage, int64_t need) {
  const std::string name = stage_name(stage);
  if (need == 0) return MemoryError(name + " got no more memory; use " + kCure);
  return MemoryError(name + " got no more memory: it " + need_against_have(need, memory_limit()));
}

MemoryError out_of_device_memory(Stage stage, const std::string& words) {
  return MemoryError(std::string(stage_name(stage)) + " got no more memory on the GPU: " +
                     words.substr(0, words.find('\n')) + "; use --offload sequential, " + kCure);
}

}  // namespace cogvx::app
