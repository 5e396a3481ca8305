#include "app/standing.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "app/sidecar.h"
#include "core/base/errors.h"
#include "core/pipeline/saved_run.h"
#include "core/weights/mapped_file.h"

namespace cogvx::app {
namespace {

namespace fs = std::filesystem;

bool exists(const std::string& path) {
  std::error_code ignored;
  return !path.empty() && fs::exists(path, ignored);
}

// Pixels and adapters are compared where they are read.
bool is_of(const Request& made, const Request& request, bool any_seed) {
  const std::vector<FieldDifference> differences = request_differences(made, request);
  return std::all_of(differences.begin(), differences.end(), [&](const FieldDifference& d) {
    return d.field == "input_sha256" || d.field.starts_with("loras") ||
           (any_seed && d.field == "seed");
  });
}

template <typename Parse>
std::optional<Request> request_in(const std::string& path, const Parse& parse) {
  if (!exists(path)) return {};
  try {
    const MappedFile file(path);
    return parse(file.bytes(), path).request;
  } catch (const DataError&) {
    return {};
  }
}

std::optional<Request> made_request(const OutputPlan& outputs) {
  if (!exists(outputs.video) || !exists(outputs.sidecar)) return {};
  try {
    const nlohmann::json made = sidecar_options(outputs.sidecar);
    Request request = sidecar_request(outputs.sidecar);
    const nlohmann::json wanted = video_options(request, outputs.settings);
    for (const char* key : {"fps", "codec", "crf"}) {
      if (made.at(key) != wanted.at(key)) return {};
    }
    return request;
  } catch (const DataError&) {
    return {};
  }
}

bool holds_files(const std::string& folder) {
  std::error_code error;
  return fs::directory_iterator(folder, error) != fs::directory_iterator();
}

bool all_stand(const OutputPlan& outputs) {
  return (!outputs.keep_latents || exists(outputs.latents)) &&
         (outputs.frames_dir.empty() || holds_files(outputs.frames_dir)) &&
         (outputs.trace.empty() || exists(outputs.trace));
}

}  // namespace

Found find_standing(const OutputPlan& outputs, const Request& request, bool any_seed) {
  const auto tells = [&](const std::optional<Request>& made) {
    return made && is_of(*made, request, any_seed);
  };
  const auto made = made_request(outputs);
  const bool own_video = tells(made);
  const auto found = [&](Standing standing, const std::string& path, const Request& from) {
    return Found{standing, path, from, from.seed, own_video};
  };
  // They go when the video has its name: until then one of an earlier run may stand there.
  if (!outputs.keep_latents) {
    if (const auto safe = request_in(outputs.safe_latents, parse_latents); tells(safe))
      return found(Standing::kSafeLatents, outputs.safe_latents, *safe);
  }
  if (own_video && all_stand(outputs)) return found(Standing::kDone, outputs.sidecar, *made);
  if (outputs.keep_latents) {
    if (const auto kept = request_in(outputs.latents, parse_latents); tells(kept))
      return found(Standing::kKeptLatents, outputs.latents, *kept);
  }
  if (const auto state = request_in(outputs.state, parse_state); tells(state))
    return found(Standing::kState, outputs.state, *state);
  if (own_video) return found(Standing::kIncomplete, outputs.sidecar, *made);
  return {};
}

}  // namespace cogvx::app
