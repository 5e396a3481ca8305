#include "app/compare/records.h"

#include "app/sidecar.h"
#include "core/base/errors.h"
#include "core/weights/config.h"

namespace cogvx::app {
namespace {

using nlohmann::json;

Provenance provenance_of(const TraceFile& trace) {
  return {.request = trace.request,
          .engine = json::parse(trace.engine),
          .placement = json::parse(trace.placement)};
}

}  // namespace

Comparison compare_traces(const TraceRecord& reference, const TraceRecord& test) {
  const StageLadder &a = reference.trace.ladder, &b = test.trace.ladder;
  Comparison result{.kind = Kind::kTrace, .total = std::ssize(a.rungs)};
  for (const auto& [rung, hashes] : a.rungs) {
    const auto found = b.rungs.find(rung);
    if (found != b.rungs.end() && found->second == hashes) ++result.identical;
  }
  const std::optional<std::string> first = first_difference(a, b);
  result.same = !first && a.contradictions.empty() && b.contradictions.empty();
  result.first_difference = first.value_or("");
  const Provenance made = provenance_of(reference.trace), other = provenance_of(test.trace);
  result.notes = provenance_notes(made, other);
  for (const TraceRecord* record : {&reference, &test}) {
    if (record->trace.ladder.contradictions.empty()) continue;
    result.notes.push_back("the processes of " + record->path +
                           " contradict each other, first at " +
                           record->trace.ladder.contradictions[0]);
  }
  if (first) note_promise(made, other, result.notes);
  return result;
}

SidecarRecord read_sidecar_record(const std::string& path) {
  const json sidecar = read_json_object(path);
  SidecarRecord record{.path = path,
                       .provenance = {.request = sidecar_request(path),
                                      .engine = sidecar_engine(path),
                                      .placement = sidecar.value("placement", json())}};
  const auto hash = [&](const char* key) {
    if (!sidecar.contains(key) || !sidecar.at(key).is_string())
      throw DataError(path + ": '" + key + "' is missing");
    return sidecar.at(key).get<std::string>();
  };
  record.sha256_latents = hash("sha256_latents");
  record.sha256_frames = hash("sha256_frames");
  return record;
}

Comparison compare_sidecars(const SidecarRecord& reference, const SidecarRecord& test) {
  Comparison result{.kind = Kind::kSidecar,
                    .sha256_reference = reference.sha256_frames,
                    .sha256_test = test.sha256_frames};
  const auto compare = [&](const char* name, const std::string& a, const std::string& b) {
    ++result.total;
    if (a == b) ++result.identical;
    if (a != b && result.first_difference.empty()) result.first_difference = name;
  };
  compare("sha256_latents", reference.sha256_latents, test.sha256_latents);
  compare("sha256_frames", reference.sha256_frames, test.sha256_frames);
  result.same = result.identical == result.total;
  result.notes = provenance_notes(reference.provenance, test.provenance);
  if (!result.same) note_promise(reference.provenance, test.provenance, result.notes);
  return result;
}

}  // namespace cogvx::app
