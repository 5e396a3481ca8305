#include "core/pipeline/stage_recorder.h"

#include <algorithm>

#include "core/base/shapes.h"
#include "core/base/short_hash.h"

namespace cogvx {

void StageRecorder::whole(const Rung& rung, const at::Tensor& tensor) {
  seen_.push_back({.rung = rung, .dealt = 0, .unit = 0, .hash = short_hash(tensor)});
}

void StageRecorder::unit(const Rung& rung, int64_t unit, const at::Tensor& tensor) {
  seen_.push_back({.rung = rung, .dealt = 1, .unit = unit, .hash = short_hash(tensor)});
}

void StageRecorder::rows(const Rung& rung, const at::Tensor& x_nD, int64_t first_row) {
  for (int64_t row = 0; row < x_nD.size(0); row += kBlockRows) {
    unit(rung, (first_row + row) / kBlockRows,
         x_nD.narrow(0, row, std::min(kBlockRows, x_nD.size(0) - row)));
  }
}

}  // namespace cogvx
