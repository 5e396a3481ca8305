#pragma once

#include <string>
#include <vector>

#include "app/engine.h"
#include "app/options.h"
#include "core/pipeline/request.h"
#include "core/weights/lora.h"

namespace cogvx::app {

// What the request is made of beside the flags: the input's pixels rgb_FHW3, undefined for none,
// and the adapters.
void identify(const at::Tensor& rgb_FHW3, const std::vector<ScaledLora>& loras, Request& request);

// Of --from: a notice where another engine computes or the input or the adapters are others,
// DataError where the scheduler is not the sidecar's.
void check_repetition(const Options& options, const Request& request, const Engine& engine,
                      std::vector<std::string>& notices);

// A notice for every variable that can change bytes.
void notice_environment(const Engine& engine, std::vector<std::string>& notices);

}  // namespace cogvx::app
