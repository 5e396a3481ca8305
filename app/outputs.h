#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <optional>
#include <string>

#include "app/console.h"
#include "app/output_plan.h"
#include "app/saved_run_files.h"
#include "core/base/monitor.h"
#include "io/atomic_file.h"
#include "io/frames_folder.h"

namespace cogvx::app {

// The files of one video: all are prepared under temporary names and named together at the end, so
// that a run that is killed leaves none of them behind. The plan must outlive it.
class Outputs {
 public:
  explicit Outputs(const OutputPlan& plan) : plan_(plan) {}

  // frames_FYX3, uint8. Throws OutputError.
  void prepare(const at::Tensor& frames_FYX3, const std::map<std::string, std::string>& metadata,
               const Monitor& monitor);
  // The video comes last: where it stands, everything stands.
  void commit(const std::string& sidecar);

 private:
  const OutputPlan& plan_;
  std::optional<io::FramesFolder> frames_;
  std::optional<io::AtomicFile> video_;
};

// Writes the final latents where the plan wants them or, with a warning, into the folder for
// temporary files; returns the path. Throws OutputError where neither can be written.
std::string write_latents_somewhere(const OutputPlan& plan, const SavedLatents& saved,
                                    Console& console);

// Removes a file of ours that has served; that it stays is no reason to fail.
void remove_file(const std::string& path);

}  // namespace cogvx::app
