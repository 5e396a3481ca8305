#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "app/item.h"
#include "app/session.h"
#include "app/sidecar.h"
#include "app/stage_meter.h"
#include "app/texts.h"
#include "app/trace.h"
#include "core/pipeline/conditions.h"

namespace cogvx::app {

// One video from its plan to its files, after it was prepared. Every process of the run makes one
// of the same item.
class VideoRun {
 public:
  // Both must outlive it. `stages` were gone through before.
  VideoRun(const Session& session, Item& item, std::vector<StageReport> stages);

  // On rank 0 with its texts. Throws what the libraries throw.
  void make(ItemTexts texts);
  // Prints the result and takes away what was kept for safety.
  void finish();

 private:
  Request& request() { return report_.plan.request; }
  RunWatch watch() { return {trace_.recorder(), &report_.own.units}; }

  void record_continuation(const Continuation& saved);
  void generate_from(const std::optional<SavedState>& saved, ItemTexts texts);
  Conditions encode_input_video(at::Generator& generator);
  TextStates shared_texts(const TextStates& own);
  void run_steps(const TextStates& text, const Conditions& conditions, DenoiseState& state);
  void keep_latents(const at::Tensor& latents);
  void decode_and_write(const at::Tensor& latents);
  std::string way_on_from_latents() const;
  void write(const at::Tensor& frames);
  nlohmann::json result() const;
  at::Tensor decode(const at::Tensor& latents);
  void collect_reports();
  std::map<std::string, std::string> metadata();
  void write_trace();
  void keep_trace(Error& error);

  const Session& session_;
  Item& item_;
  Trace trace_;
  RunExtent extent_{};
  Monitor monitor_;
  RunReport report_;
  StageMeter meter_;
  std::string latents_path_;  // where the final latents lie on disk
};

}  // namespace cogvx::app
