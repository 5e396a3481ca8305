#include <nlohmann/json.hpp>

#include "app/forecast/estimates.h"
#include "app/json_text.h"
#include "app/memory_check.h"
#include "app/sidecar.h"

namespace cogvx::app {
namespace {

using nlohmann::json;

json memory_to_json(const Forecast& run, const MemoryPlan& plan) {
  json stages = json::object();
  for (const Stage stage : run.stages) stages[stage_name(stage)] = predicted_bytes(plan, stage);
  return stages;
}

json rank_to_json(const Forecast& run, const RankForecast& rank) {
  const bool gpu = run.plan.placement.device == "cuda";
  return {{"rank", rank.mesh.rank},
          {"cp_rank", rank.mesh.cp_rank()},
          {"sp_rank", rank.mesh.sp_rank()},
          {"rows", {rank.rows.begin, rank.rows.end}},
          {"passes", rank.passes},
          {"flop_per_pass", rank.pass.total()},
          {"flop_decode", rank.decode_flops},
          {"flop_encode_video", rank.encode_flops},
          {"units", units_to_json(rank.units)},
          {"bytes_sent", bytes_to_json(rank.bytes)},
          {"bytes_sent_in_a_step", bytes_to_json(rank.step_bytes)},
          {"predicted_memory_bytes", memory_to_json(run, rank.host)},
          {"predicted_device_memory_bytes",
           gpu ? json{{"none", memory_to_json(run, rank.device_none)},
                      {"sequential", memory_to_json(run, rank.device_sequential)}}
               : json::object()}};
}

json estimate_to_json(const Forecast& run, const Estimate& estimate) {
  json object = {{"device", estimate.device},
                 {"basis", estimate.basis},
                 {"seconds_per_step", estimate.step_seconds},
                 {"seconds_encode_text", estimate.text_seconds},
                 {"seconds_vae", estimate.decode_seconds},
                 {"seconds", estimate.run_seconds}};
  if (run.plan.placement.device == "cuda" && estimate.memory_bytes > 0) {
    object["memory_bytes"] = estimate.memory_bytes;
    object["offload"] = estimate.offload.empty() ? json() : json(estimate.offload);
    object["does_not_fit"] = estimate.does_not_fit;
  }
  return object;
}

}  // namespace

std::string forecast_json(const Forecast& run, const CpuSpeed* cpu) {
  json ranks = json::array(), estimates = json::array();
  for (const RankForecast& rank : run.ranks) ranks.push_back(rank_to_json(run, rank));
  if (cpu != nullptr) estimates.push_back(estimate_to_json(run, estimate_cpu(run, *cpu)));
  for (const Estimate& estimate : estimate_devices(run))
    estimates.push_back(estimate_to_json(run, estimate));
  return json_text({{"cogvx_plan", 1},
                    {"kind", run.plan.kind.name},
                    {"request", request_to_json(run.plan.request)},
                    {"placement", placement_to_json(run.plan.placement)},
                    {"notices", run.plan.notices},
                    {"rows", run.rows},
                    {"branches", run.branches},
                    {"first_step", run.first_step},
                    {"timesteps", run.timesteps},
                    {"guidance", run.guidance},
                    {"flop",
                     {{"encode_text", run.text_flops},
                      {"step", run.branches * run.pass.total()},
                      {"step_linear", run.branches * run.pass.linear},
                      {"step_attention", run.branches * run.pass.attention}}},
                    {"ranks", ranks},
                    {"estimates", estimates},
                    {"does_not_fit", run.does_not_fit}}) +
         "\n";
}

}  // namespace cogvx::app
