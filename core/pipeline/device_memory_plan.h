#pragma once

#include <vector>

#include "core/pipeline/memory_plan.h"
#include "core/vae/tiles.h"

namespace cogvx {

// Which weights lie on the device: those of the stage at hand, or one linear layer's at a time
// (core/ops/sequential_offload.h).
enum class Offload { kNone, kSequential };

// What one process computes of a run, and what its device holds beside that.
struct DeviceShare {
  int64_t rows = 0;            // of the joint sequence
  int64_t heads = 0;           // that it attends
  int64_t exchange_bytes = 0;  // buffers of its sequence exchange, while it denoises
  bool encodes_text = true;
  std::vector<Tile> encoded{};  // tiles of the input and of the result
  std::vector<Tile> decoded{};
  bool joins_tiles = true;
  int64_t checked_rows = 0;       // for which kernels are checked first
  int64_t attention_streams = 1;  // on which heads are attended side by side
  int64_t held_bytes = 0;         // by the Ops, always
};
// Of a process that does all of it and exchanges nothing (IdentityExchange).
DeviceShare whole_share(const Checkpoint& checkpoint, const Request& request);

// The most bytes of each stage that lie on the device at once, as Ops::take_peak_bytes counts them:
// weights, activations, the exchange's buffers, and a convolution's workspace, which is taken to be
// as large as its input and output (libraries that want another layout copy both). 0: the stage
// needs none.
MemoryPlan plan_device_memory(const Checkpoint& checkpoint, const Request& request,
                              const DeviceShare& share, Offload offload);
// The same of encoding an image or a video of so many frames of the request's size.
int64_t plan_device_encode_video(const Checkpoint& checkpoint, const Request& request,
                                 int64_t frames, const DeviceShare& share);

}  // namespace cogvx
