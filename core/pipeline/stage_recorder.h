#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "core/pipeline/stage_ladder.h"

namespace cogvx {

// Hashes results as they come about. It looks at them and changes nothing.
class StageRecorder {
 public:
  // What every owner has.
  void whole(const Rung& rung, const at::Tensor& tensor);
  // One unit, made by one owner.
  void unit(const Rung& rung, int64_t unit, const at::Tensor& tensor);
  // Own rows x_nD of the joint sequence, as blocks of 64.
  void rows(const Rung& rung, const at::Tensor& x_nD, int64_t first_row);

  // What was seen since the last call.
  std::vector<UnitHash> take() { return std::exchange(seen_, {}); }

 private:
  std::vector<UnitHash> seen_;
};

}  // namespace cogvx
