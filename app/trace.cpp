#include "app/trace.h"

#include <cstring>
#include <nlohmann/json.hpp>

#include "app/json_text.h"
#include "core/base/errors.h"
#include "core/base/json_reader.h"
#include "core/weights/config.h"
#include "io/atomic_file.h"

namespace cogvx::app {
namespace {

using nlohmann::json;

constexpr int kFormat = 1;
constexpr char kFormatKey[] = "cogvx_trace";

static_assert(std::is_trivially_copyable_v<UnitHash>);

}  // namespace

void Trace::collect() {
  if (!wanted()) return;
  const std::vector<UnitHash> own = recorder_.take();
  const std::vector<std::string> all = ranks_.gather_at_first(
      {reinterpret_cast<const char*>(own.data()), own.size() * sizeof(UnitHash)});
  seen_by_.resize(all.size());
  for (size_t rank = 0; rank < all.size(); ++rank) {
    std::vector<UnitHash> seen(all[rank].size() / sizeof(UnitHash));
    std::memcpy(static_cast<void*>(seen.data()), all[rank].data(), all[rank].size());
    seen_by_[rank].insert(seen_by_[rank].end(), seen.begin(), seen.end());
  }
}

void Trace::write(const Request& request, const Engine& engine, const Placement& placement) const {
  if (!wanted() || !ranks_.is_first()) return;
  const StageLadder ladder = join_ladder(seen_by_, request.max_text_tokens);
  const json file = {{kFormatKey, kFormat},
                     {"request", request_to_json(request)},
                     {"engine", engine_to_json(engine)},
                     {"placement", placement_to_json(placement)},
                     {"ladder", ladder_to_json(ladder)}};
  io::write_text_file(path_, json_text(file) + "\n");
}

bool is_trace(const json& object) { return object.is_object() && object.contains(kFormatKey); }

TraceFile read_trace(const std::string& path) {
  const json file = read_json_object(path);
  const JsonReader read(file, path, JsonReader::Absent::kIsAnError);
  if (!is_trace(file) || file.at(kFormatKey) != kFormat)
    read.fail(kFormatKey, std::to_string(kFormat) + "; was it written by cogvx-gen --trace?");
  read.only({kFormatKey, "request", "engine", "placement", "ladder"});
  for (const char* key : {"request", "engine", "placement", "ladder"}) {
    if (read.absent(key) || !file.at(key).is_object()) read.fail(key, "an object");
  }
  return {.request = request_from_json(file.at("request"), path),
          .engine = file.at("engine").dump(),
          .placement = file.at("placement").dump(),
          .ladder = ladder_from_json(file.at("ladder"), path + ": ladder")};
}

}  // namespace cogvx::app
