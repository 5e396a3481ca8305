#pragma once

#include <string>
#include <vector>

#include "app/options.h"
#include "core/base/monitor.h"
#include "core/weights/checkpoint.h"
#include "core/weights/lora.h"

namespace cogvx::app {

struct LoraFile {
  std::string path;
  double scale = 1.0;
};
// What --lora says, FILE or FILE:SCALE; nothing is opened. Throws UsageError.
std::vector<LoraFile> lora_files(const Options& options);

// The adapters of --lora, in order, matched with the checkpoint's transformer; what is matched and
// what is not is a notice. Throws UsageError or DataError.
std::vector<ScaledLora> read_loras(const Options& options, const Checkpoint& checkpoint,
                                   const Monitor& monitor);

}  // namespace cogvx::app
