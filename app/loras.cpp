#include "app/loras.h"

#include <charconv>
#include <cmath>

#include "core/base/errors.h"
#include "core/weights/weight_map.h"

namespace cogvx::app {
namespace {

struct LoraFile {
  std::string path;
  double scale = 1.0;
};

// "style.safetensors:0.7"; what follows the last colon is a scale only where it is a number.
LoraFile parse_lora(const std::string& text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos) return {text};
  LoraFile file{text.substr(0, colon)};
  const char* begin = text.data() + colon + 1;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(begin, end, file.scale);
  if (error == std::errc() && stop == end && std::isfinite(file.scale)) return file;
  if (text.find('/', colon) != std::string::npos) return {text};
  throw UsageError("--lora is '" + text +
                   "', wanted FILE or FILE:SCALE with a number, for example " +
                   text.substr(0, colon) + ":0.8");
}

}  // namespace

std::vector<ScaledLora> read_loras(const Options& options, const Checkpoint& checkpoint,
                                   const Monitor& monitor) {
  std::vector<ScaledLora> loras;
  if (options.lora.empty()) return loras;
  const WeightMap weights(checkpoint.dir / "transformer", "diffusion_pytorch_model");
  for (const std::string& text : options.lora) {
    const LoraFile file = parse_lora(text);
    LoraAdapter adapter(file.path, weights.shapes());
    if (!adapter.unmatched().empty()) {
      monitor.notice(file.path + ": " + std::to_string(adapter.unmatched().size()) +
                     " keys match nothing in the transformer and are left out, the first is '" +
                     adapter.unmatched().front() + "'");
    }
    monitor.notice(file.path + ": changes " + std::to_string(adapter.pairs().size()) +
                   " weights of the transformer");
    loras.push_back({std::move(adapter), file.scale});
  }
  return loras;
}

}  // namespace cogvx::app
