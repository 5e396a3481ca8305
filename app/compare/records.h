#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "app/compare/comparison.h"
#include "app/compare/provenance.h"
#include "app/trace.h"

namespace cogvx::app {

// What cogvx-gen wrote about a run, in place of the video itself.
struct TraceRecord {
  std::string path;
  TraceFile trace;
};
Comparison compare_traces(const TraceRecord& reference, const TraceRecord& test);

struct SidecarRecord {
  std::string path;
  Provenance provenance;
  std::string sha256_latents;
  std::string sha256_frames;
};
// DataError where a hash is missing.
SidecarRecord read_sidecar_record(const std::string& path);
Comparison compare_sidecars(const SidecarRecord& reference, const SidecarRecord& test);

}  // namespace cogvx::app
