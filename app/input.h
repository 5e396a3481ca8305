#pragma once

#include <ATen/core/Tensor.h>

#include "app/options.h"
#include "core/base/monitor.h"
#include "core/pipeline/request.h"
#include "core/pipeline/work_exchange.h"

namespace cogvx::app {

// The image or the frames of the video that a task begins with, at the request's size, RGB
// [F, H, W, 3] uint8; undefined for text alone. Throws UsageError or DataError.
at::Tensor read_input(const Options& options, const Request& request, const Monitor& monitor);
// From the process that has read it to all.
at::Tensor share_input(const at::Tensor& rgb_FHW3, const Request& request, WorkExchange& work);

// For Request::input_sha256; empty for an undefined tensor.
std::string input_sha256(const at::Tensor& rgb_FHW3);

}  // namespace cogvx::app
