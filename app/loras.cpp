#include "app/loras.h"

#include <charconv>
#include <cmath>

#include "core/base/errors.h"
#include "core/weights/weight_map.h"

namespace cogvx::app {
namespace {

// "style.safetensors:0.7"; what follows the last colon is a scale unless a folder's end is in it.
LoraFile parse_lora(const std::string& text) {
  const size_t colon = text.rfind(':');
  const bool bare = colon == std::string::npos || text.find('/', colon) != std::string::npos;
  LoraFile file{text.substr(0, bare ? text.size() : colon)};
  const char* begin = text.data() + (bare ? text.size() : colon + 1);
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(begin, end, file.scale);
  const bool number = error == std::errc() && stop == end && std::isfinite(file.scale);
  if (!file.path.empty() && (bare || number)) return file;
  throw UsageError("--lora is '" + text +
                   "', wanted FILE or FILE:SCALE with a number, for example " +
                   (file.path.empty() ? "style.safetensors" : file.path) + ":0.8");
}

}  // namespace

std::vector<LoraFile> lora_files(const Options& options) {
  std::vector<LoraFile> files;
  for (const std::string& text : options.lora) files.push_back(parse_lora(text));
  return files;
}

std::vector<ScaledLora> read_loras(const Options& options, const Checkpoint& checkpoint,
                                   const Monitor& monitor) {
  std::vector<ScaledLora> loras;
  if (options.lora.empty()) return loras;
  const WeightMap weights(checkpoint.dir / "transformer", "diffusion_pytorch_model");
  for (const LoraFile& file : lora_files(options)) {
    LoraAdapter adapter(file.path, weights.shapes());
    if (!adapter.unmatched().empty()) {
      monitor.notice(file.path + ": keys that match nothing in the transformer and are left out: " +
                     std::to_string(adapter.unmatched().size()) + ", the first is '" +
                     adapter.unmatched().front() + "'");
    }
    monitor.notice(file.path + ": changes " + std::to_string(adapter.pairs().size()) +
                   " of the transformer's weights");
    loras.push_back({std::move(adapter), file.scale});
  }
  return loras;
}

}  // namespace cogvx::app
