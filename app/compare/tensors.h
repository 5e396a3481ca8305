#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

#include "app/compare/comparison.h"
#include "app/compare/provenance.h"

namespace cogvx::app {

// Final latents (--save-latents), or a state between two steps.
struct Tensors {
  std::string path;
  Kind kind = Kind::kLatents;
  int64_t next_step = 0;  // of a state
  Provenance provenance;
  at::Tensor latents_LCYX{};  // finite
  // What a state holds beside them; not defined where its scheduler keeps none.
  std::vector<std::pair<const char*, at::Tensor>> others{};
};
// DataError, also where numbers are not finite.
Tensors read_tensors(const std::string& path);
// DataError where step, shape or dtype differ. The distances are of the latents.
Comparison compare_tensors(const Tensors& reference, const Tensors& test);

}  // namespace cogvx::app
