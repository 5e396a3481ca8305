#include "app/sidecar.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/base/errors.h"
#include "core/base/json.h"
#include "core/weights/config.h"

namespace cogvx::app {
namespace {

using nlohmann::json;

constexpr int kFormat = 1;

const json& member(const json& object, const char* key, const std::string& path) {
  if (!object.is_object() || !object.contains(key)) {
    throw DataError(path + ": is not a sidecar of cogvx-gen: '" + key + "' is missing");
  }
  return object.at(key);
}

json read_sidecar(const std::string& path) {
  json sidecar = read_json_object(path);
  if (member(sidecar, "cogvx_sidecar", path) != kFormat) {
    throw DataError(path + ": is a sidecar of format " + json_excerpt(sidecar.at("cogvx_sidecar")) +
                    ", this version reads " + std::to_string(kFormat));
  }
  return sidecar;
}

}  // namespace

json units_to_json(const UnitLedger& units) {
  return {{"prompts", units.prompts},
          {"row_blocks", units.row_blocks},
          {"attention_tiles", units.attention_tiles},
          {"vae_tiles", units.vae_tiles}};
}

json bytes_to_json(const BytesMoved& moved) {
  return {{"attention", moved.sequence.attention},
          {"gathered", moved.sequence.gathered},
          {"once", moved.work.once},
          {"branches", moved.work.branches},
          {"tiles", moved.work.tiles},
          {"agreement", moved.agreement}};
}

json rank_report_to_json(const RankReport& report) {
  json seconds = json::object(), peaks = json::object(), predicted = json::object();
  json device_peaks = json::object(), device_predicted = json::object();
  for (const StageReport& stage : report.stages) {
    seconds[stage.stage] = stage.seconds;
    peaks[stage.stage] = stage.peak_bytes;
    if (stage.device_peak_bytes > 0) device_peaks[stage.stage] = stage.device_peak_bytes;
    if (stage.device_predicted_bytes > 0)
      device_predicted[stage.stage] = stage.device_predicted_bytes;
    if (stage.predicted_bytes > 0) predicted[stage.stage] = stage.predicted_bytes;
  }
  return {{"seconds", seconds},
          {"peak_memory_bytes", peaks},
          {"predicted_memory_bytes", predicted},
          {"peak_device_memory_bytes", device_peaks},
          {"predicted_device_memory_bytes", device_predicted},
          {"units", units_to_json(report.units)},
          {"bytes_sent", bytes_to_json(report.moved)},
          {"predicted_bytes_sent",
           {{"attention", report.predicted.exact.attention},
            {"gathered", report.predicted.exact.gathered},
            {"attention_split_heads", report.predicted.split_heads},
            {"attention_if_even", report.predicted.attention_if_even}}}};
}

json report_to_json(const RunReport& report) {
  const OutputPlan& output = report.plan.output;
  json sidecar = {
      {"cogvx_sidecar", kFormat},
      {"output", output.video},
      {"kind", report.plan.kind.name},
      {"request", request_to_json(report.plan.request)},
      {"engine", engine_to_json(report.engine)},
      {"placement", placement_to_json(report.plan.placement)},
      {"fps", frame_rate_text(output.settings.frame_rate)},
      {"codec", io::codec_name(output.settings.codec)},
      {"crf", io::codec_has_crf(output.settings.codec) ? json(output.settings.crf) : json()},
      {"frames", report.frames},
      {"sha256_latents", report.sha256_latents},
      {"sha256_frames", report.sha256_frames},
      {"units_of_all_ranks", units_to_json(report.all_units)}};
  if (report.kernels != nullptr && !report.kernels->empty()) {
    for (const Verdict& verdict : *report.kernels)
      sidecar["kernels"].push_back(verdict_to_json(verdict));
  }
  const json inputs = json::parse(report.inputs);
  if (!inputs.empty()) sidecar["inputs"] = inputs;
  // What differs between ranks: per name a list in their order.
  std::vector<json> ranks = {rank_report_to_json(report.own)};
  for (const std::string& other : report.others) ranks.push_back(json::parse(other));
  for (const json& rank : ranks) {
    for (const auto& [name, value] : rank.items()) sidecar[name].push_back(value);
  }
  if (!report.continued.path.empty()) {
    sidecar["continued_from"] = {{"file", report.continued.path},
                                 {"step", report.continued.step},
                                 {"engine", json::parse(report.continued.engine)}};
  }
  return sidecar;
}

json input_options(const Options& options) {
  const auto absolute = [](const std::string& path) {
    std::error_code ignored;
    return std::filesystem::absolute(path, ignored).string();
  };
  json inputs = json::object();
  if (!options.image.empty()) inputs["image"] = absolute(options.image);
  if (!options.video.empty()) {
    inputs["video"] = absolute(options.video);
    inputs["video_frames_from"] = options.video_frames_from;
  }
  if (!inputs.empty()) inputs["resize_mode"] = options.resize_mode;
  for (const std::string& lora : options.lora) inputs["lora"].push_back(absolute(lora));
  return inputs;
}

json request_options(const Request& r) {
  json options = {{"prompt", r.prompt},
                  {"negative_prompt", r.negative_prompt},
                  {"task", task_name(r.task)},
                  {"width", r.width},
                  {"height", r.height},
                  {"frames", r.num_frames},
                  {"steps", r.steps},
                  {"guidance_scale", r.guidance_scale},
                  {"dynamic_cfg", r.dynamic_cfg ? "on" : "off"},
                  {"scheduler", scheduler_kind_name(r.scheduler.kind)},
                  {"seed", r.seed},
                  {"dtype", dtype_name(r.dtype)},
                  {"vae_tiling", r.vae_tile.height > 0 ? "on" : "off"},
                  {"max_text_tokens", r.max_text_tokens},
                  {"attention", attention_name(r.attention)},
                  {"allow_untrained_size", true}};
  if (r.task == Task::kVideoToVideo) options["strength"] = r.strength;
  if (r.vae_tile.height > 0) {
    options["vae_tile"] =
        std::to_string(r.vae_tile.height) + "x" + std::to_string(r.vae_tile.width);
  }
  return options;
}

json video_options(const Request& request, const io::VideoSettings& settings) {
  json options = request_options(request);
  options["fps"] = frame_rate_text(settings.frame_rate);
  options["codec"] = io::codec_name(settings.codec);
  options["crf"] = io::codec_has_crf(settings.codec) ? json(settings.crf) : json();
  return options;
}

json sidecar_options(const std::string& path) {
  const json sidecar = read_sidecar(path);
  json options = request_options(sidecar_request(path));
  for (const char* key : {"fps", "codec", "crf"}) options[key] = member(sidecar, key, path);
  options.update(sidecar.value("inputs", json::object()));
  return options;
}

Request sidecar_request(const std::string& path) {
  const json sidecar = read_sidecar(path);
  return request_from_json(member(sidecar, "request", path), path);
}

json sidecar_engine(const std::string& path) {
  const json sidecar = read_sidecar(path);
  return member(sidecar, "engine", path);
}

std::string sidecar_output(const std::string& path) {
  const json sidecar = read_sidecar(path);
  const json output = member(sidecar, "output", path);
  return output.is_string() ? output.get<std::string>() : "";
}

std::string another_engine_text(const std::string& path) {
  return path +
         " was made by another engine (build, libraries or instruction set); the bytes may differ "
         "slightly";
}

}  // namespace cogvx::app
