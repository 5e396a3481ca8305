#include "app/forecast/estimates.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/device_memory.h"
#include "app/devices_data.h"
#include "core/base/errors.h"
#include "core/pipeline/component_sizes.h"

namespace cogvx::app {
namespace {

constexpr char kUnmeasured[] = "estimate, unmeasured";
// Of a GPU's memory, for the context, libraries and what the allocator leaves between.
constexpr double kUsableShare = 0.95;
constexpr double kContextBytes = 1e9;

struct Device {
  std::string name;
  double flops = 0;  // per second in the run's dtype, at its peak
  double memory_bytes = 0;
  double bandwidth = 0;
  double link = 0;       // to other GPUs
  double host_link = 0;  // to the host
  double linear_share = 0;
  double attention_share = 0;
  double convolution_share = 0;
};

std::vector<Device> known_devices(at::ScalarType dtype) {
  std::vector<Device> devices;
  const nlohmann::json table = nlohmann::json::parse(kDevicesJson);
  for (const nlohmann::json& d : table.at("devices")) {
    devices.push_back({.name = d.at("name"),
                       .flops = d.at(dtype == at::kFloat ? "fp32" : "bf16").get<double>() * 1e12,
                       .memory_bytes = d.at("memory").get<double>() * 1e9,
                       .bandwidth = d.at("memory_bandwidth").get<double>() * 1e12,
                       .link = d.at("link").get<double>() * 1e9,
                       .host_link = d.at("host_link").get<double>() * 1e9,
                       .linear_share = d.at("linear_share"),
                       .attention_share = d.at("attention_share"),
                       .convolution_share = d.at("convolution_share")});
  }
  return devices;
}

double steps_of(const Forecast& run) { return static_cast<double>(run.timesteps.size()); }

// The slowest rank's.
template <typename Seconds>
double slowest(const Forecast& run, const Seconds& seconds) {
  double most = 0;
  for (const RankForecast& rank : run.ranks) most = std::max(most, seconds(rank));
  return most;
}

double weights_bytes(const Forecast& run) {
  return static_cast<double>(transformer_parameters(run.checkpoint.transformer) *
                             element_bytes(run.plan.request.dtype));
}

// With weights that come layer by layer, each pass brings all of them once.
double step_seconds(const Forecast& run, const Device& device, bool by_layer) {
  const double brought = by_layer ? weights_bytes(run) / device.host_link : 0;
  return slowest(run, [&](const RankForecast& rank) {
    const double passes = static_cast<double>(rank.passes) / std::max(1.0, steps_of(run));
    const double compute =
        static_cast<double>(rank.pass.linear) / (device.flops * device.linear_share) +
        static_cast<double>(rank.pass.attention) / (device.flops * device.attention_share);
    // No faster than the weights can be read.
    const double least = weights_bytes(run) / device.bandwidth;
    const double moved =
        static_cast<double>(rank.step_bytes.sequence.attention + rank.step_bytes.sequence.gathered +
                            rank.step_bytes.work.branches) /
        device.link;
    return passes * (std::max(compute, least) + brought) + moved;
  });
}

// As the run would choose on a GPU that nobody else uses.
void fit(const Forecast& run, const Device& device, Estimate& estimate) {
  if (run.plan.placement.device != "cuda") return;
  const auto usable = static_cast<int64_t>(device.memory_bytes * kUsableShare - kContextBytes);
  estimate.offload = "none";
  try {
    for (const RankForecast& rank : run.ranks) {
      const OffloadChoice choice = choose_offload(
          run.offload, {rank.device_none, rank.device_sequential}, run.stages, usable);
      if (choice.offload == "sequential") estimate.offload = choice.offload;
    }
  } catch (const MemoryError& error) {
    estimate.offload.clear();
    estimate.does_not_fit = device.name + ", " + error.what();
  }
}

}  // namespace

std::vector<Estimate> estimate_devices(const Forecast& run) {
  std::vector<Estimate> estimates;
  for (const Device& device : known_devices(run.plan.request.dtype)) {
    const double convolution = device.flops * device.convolution_share;
    Estimate estimate{
        .device = device.name,
        .basis = kUnmeasured,
        .text_seconds = static_cast<double>(run.text_flops) / (device.flops * device.linear_share),
        .decode_seconds = slowest(
            run,
            [&](const RankForecast& rank) {
              return static_cast<double>(rank.decode_flops + rank.encode_flops) / convolution;
            }),
        .memory_bytes = static_cast<int64_t>(device.memory_bytes)};
    fit(run, device, estimate);
    estimate.step_seconds = step_seconds(run, device, estimate.offload == "sequential");
    estimate.run_seconds =
        steps_of(run) * estimate.step_seconds + estimate.text_seconds + estimate.decode_seconds;
    estimates.push_back(estimate);
  }
  return estimates;
}

std::string fits_no_known_gpu(const Forecast& run) {
  const std::vector<Estimate> estimates = estimate_devices(run);
  if (std::ranges::any_of(estimates, &std::string::empty, &Estimate::does_not_fit)) return "";
  return std::ranges::max_element(estimates, {}, &Estimate::memory_bytes)->does_not_fit;
}

CpuLoad cpu_load(const Forecast& run) {
  CpuLoad load{.rows = run.rows,
               .dtype = run.plan.request.dtype,
               .threads = run.plan.placement.threads,
               .processes = static_cast<int>(run.ranks.size())};
  for (const RankForecast& rank : run.ranks)
    load.own_rows = std::max(load.own_rows, rank.rows.size());
  return load;
}

Estimate estimate_cpu(const Forecast& run, const CpuSpeed& speed) {
  const TransformerConfig& c = run.checkpoint.transformer;
  Estimate estimate{.device = "this CPU", .basis = "from a measurement of 2 s"};
  estimate.step_seconds = slowest(run, [&](const RankForecast& rank) {
    const double passes = static_cast<double>(rank.passes) / std::max(1.0, steps_of(run));
    const double query_rows =
        static_cast<double>(rank.pass.attention) /
        (4.0 * static_cast<double>(c.num_layers * c.attention_head_dim * run.rows));
    return passes * static_cast<double>(c.num_layers) *
           (speed.layer_seconds + speed.layer_row_seconds * static_cast<double>(rank.rows.size()) +
            speed.query_seconds * query_rows);
  });
  estimate.decode_seconds = slowest(run, [&](const RankForecast& rank) {
    return static_cast<double>(rank.decode_flops + rank.encode_flops) / speed.convolution_flops;
  });
  // Of linear layers as those of the transformer.
  const double row_flops = 24.0 * static_cast<double>(c.width() * c.width());
  estimate.text_seconds = static_cast<double>(run.text_flops) *
                          (speed.layer_row_seconds / row_flops) /
                          static_cast<double>(run.ranks.size());
  estimate.run_seconds =
      steps_of(run) * estimate.step_seconds + estimate.text_seconds + estimate.decode_seconds;
  return estimate;
}

}  // namespace cogvx::app
