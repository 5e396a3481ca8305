#pragma once

#include "core/ops/cuda/kernels_rows.h"
#include "core/ops/cuda/kernels_video.h"

// The kernels on host memory, thread after thread: what the device must give, bit for bit.
namespace cogvx::cuda {

template <int P, typename Kernel, typename Shared, typename Watch>
void run_phases(const Kernel& kernel, Spot block, int threads, Shared shared, Watch& watch) {
  if constexpr (P < Kernel::kPhases) {
    for (Spot spot = block; spot.thread < threads; ++spot.thread) {
      watch.at(spot, P);
      kernel.template phase<P>(spot, shared);
    }
    run_phases<P + 1>(kernel, block, threads, shared, watch);
  }
}

// The grid of a legal launch. Watch: at(spot, phase) before each thread's phase.
template <typename Kernel, typename Shared, typename Watch>
void run_grid(const Kernel& kernel, Shared shared, Watch& watch) {
  const Launch launch = kernel.launch();
  for (int64_t y = 0; y < launch.y; ++y) {
    for (int64_t x = 0; x < launch.x; ++x)
      run_phases<0>(kernel, Spot{x, y, 0}, launch.threads, shared, watch);
  }
}

// Gives make<T>(call, memory) of the call's stored type to `use`.
template <typename Call, typename Memory, typename Use>
void with_kernel(const Call& call, const Memory& memory, const Use& use) {
  switch (call.storage) {
    case Storage::kFp32:
      return use(make<float>(call, memory));
    case Storage::kBf16:
      return use(make<Bf16>(call, memory));
    case Storage::kFp16:
      return use(make<Half>(call, memory));
  }
}

// launch() of kernels.h on host pointers. False: no legal launch for this shape.
template <typename Call>
bool run_on_host(const Call& call) {
  struct {
    void at(const Spot&, int) const {}
  } unwatched;
  bool legal = false;
  with_kernel(call, DeviceMemory{}, [&](const auto& kernel) {
    float shared[kMaxSharedBytes / sizeof(float)];
    legal = is_legal(kernel.launch());
    if (legal) run_grid(kernel, static_cast<float*>(shared), unwatched);
  });
  return legal;
}

}  // namespace cogvx::cuda
