#pragma once

#include "core/pipeline/request.h"
#include "core/weights/checkpoint.h"

namespace cogvx::app {

// What this machine's processors were seen to do just now, with all the threads of a run's
// processes at work; seconds are those of one process among them.
struct CpuSpeed {
  double layer_row_seconds = 0;  // all of a transformer layer but attention, one row
  double layer_seconds = 0;      // of a layer once, whatever its rows: its modulation
  double query_seconds = 0;      // attention of one head's row over all keys
  double convolution_flops = 0;  // per second, norms included
};
struct CpuLoad {
  int64_t rows = 0;      // of the joint sequence
  int64_t own_rows = 0;  // of the process with most of them
  at::ScalarType dtype = at::kFloat;
  int threads = 1;    // of each process
  int processes = 1;  // on this machine
};
// Takes about two seconds.
CpuSpeed measure_cpu(const Checkpoint& checkpoint, const CpuLoad& load);

}  // namespace cogvx::app
