#include "app/repetition.h"

#include <nlohmann/json.hpp>

#include "app/input.h"
#include "app/sidecar.h"
#include "core/base/errors.h"

namespace cogvx::app {

void check_repetition(const Options& options, const Request& request, const Engine& engine,
                      std::vector<std::string>& notices) {
  const Request wanted = sidecar_request(options.from);
  if (sidecar_engine(options.from) != engine_to_json(engine))
    notices.push_back(another_engine_text(options.from));
  if (options.scheduler == scheduler_kind_name(request.scheduler.kind) &&
      wanted.scheduler != request.scheduler) {
    throw DataError(options.model + ": its scheduler configuration is not the one in " +
                    options.from + "; give --model the checkpoint that video was made with");
  }
  if (wanted.task == request.task && wanted.input_sha256 != request.input_sha256 &&
      !options.dump_config) {
    notices.push_back("the pixels of --image or --video are not those of " + options.from +
                      "; this will be another video");
  }
  if (wanted.loras != request.loras && !options.dump_config) {
    notices.push_back("the --lora files or their scales are not those of " + options.from +
                      "; this will be another video");
  }
}

void identify(const at::Tensor& rgb_FHW3, const std::vector<ScaledLora>& loras, Request& request) {
  request.input_sha256 = input_sha256(rgb_FHW3);
  for (const ScaledLora& lora : loras)
    request.loras.push_back({lora.adapter.content_sha256(), lora.scale});
}

void notice_environment(const Engine& engine, std::vector<std::string>& notices) {
  for (const auto& [name, value] : engine.environment) {
    notices.push_back(name + "=" + value +
                      " is set and can change bytes; it is recorded as part of the engine");
  }
}

}  // namespace cogvx::app
