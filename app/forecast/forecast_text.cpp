#include <algorithm>
#include <cstdarg>
#include <cstdio>

#include "app/forecast/estimates.h"
#include "app/memory_check.h"
#include "app/standard_streams.h"
#include "core/text/prompt_text.h"

namespace cogvx::app {
namespace {

constexpr size_t kPromptShown = 60;
constexpr size_t kGuidanceShown = 4;

[[gnu::format(printf, 1, 2)]] std::string text(const char* format, ...) {
  char line[256];
  va_list values;
  va_start(values, format);
  std::vsnprintf(line, sizeof line, format, values);
  va_end(values);
  return line;
}

std::string scaled(double value, const char* unit) {
  constexpr const char* kPrefixes[] = {"", " k", " M", " G", " T", " P"};
  int step = 0;
  for (; value >= 1000 && step < 5; ++step) value /= 1000;
  return text(step == 0 ? "%.0f%s" : "%.2f%s", value, step == 0 ? " " : kPrefixes[step]) + unit;
}

std::string duration(double seconds) {
  if (seconds < 0.01) return text("%.2f ms", 1000 * seconds);
  if (seconds < 1) return text("%.0f ms", 1000 * seconds);
  if (seconds < 120) return text("%.1f s", seconds);
  if (seconds < 7200) return text("%.1f min", seconds / 60);
  return text("%.1f h", seconds / 3600);
}

std::string task_text(Task task) {
  switch (task) {
    case Task::kTextToVideo:
      return "text to video";
    case Task::kImageToVideo:
      return "image to video";
    case Task::kVideoToVideo:
      return "video to video";
    case Task::kControl:
      break;
  }
  return "a control video to video";
}

std::string guidance_text(const Forecast& run) {
  const std::vector<double>& scales = run.guidance;
  if (run.branches == 1) return "none (one branch)";
  if (!run.plan.request.dynamic_cfg)
    return text("%.2f in every step (two branches)", scales.front());
  std::string line = "dynamic, by step:";
  for (size_t i = 0; i < scales.size(); ++i) {
    if (scales.size() > 2 * kGuidanceShown && i == kGuidanceShown) {
      line += " ...";
      i = scales.size() - kGuidanceShown;
    }
    line += text(" %.2f", scales[i]);
  }
  return line + " (two branches)";
}

std::string request_text(const Forecast& run) {
  const Request& r = run.plan.request;
  const TransformerConfig& c = run.checkpoint.transformer;
  std::string lines = text("%s, %s: %ld frames of %ldx%ld, %s, %zu steps of %s, seed %lu\n",
                           run.plan.kind.name.c_str(), task_text(r.task).c_str(),
                           decoded_frames(latent_shape(r, run.checkpoint).decoded()), r.width,
                           r.height, dtype_name(r.dtype), run.timesteps.size(),
                           scheduler_kind_name(r.scheduler.kind).c_str(), r.seed);
  lines += "  prompt      " + one_line(excerpt(r.prompt, kPromptShown)) + "\n";
  lines += text("  sequence    %ld rows: %ld of text, %ld of video; %ld layers, %ld heads of %ld\n",
                run.rows, r.max_text_tokens, run.rows - r.max_text_tokens, c.num_layers,
                c.num_attention_heads, c.attention_head_dim);
  lines += "  guidance    " + guidance_text(run) + "\n";
  const Placement& p = run.plan.placement;
  return lines +
         text("placement     %s, --cp %d --sp %d (%s): %zu process%s", p.device.c_str(), p.cp, p.sp,
              p.sp_mode.c_str(), run.ranks.size(), run.ranks.size() == 1 ? "" : "es") +
         (p.device == "cpu" ? text(" of %d thread%s\n", p.threads, p.threads == 1 ? "" : "s")
                            : ", one GPU each\n");
}

std::string work_text(const Forecast& run) {
  const double passes = static_cast<double>(run.branches);
  double decode = 0, encode = 0;
  for (const RankForecast& rank : run.ranks) {
    decode += static_cast<double>(rank.decode_flops);
    encode += static_cast<double>(rank.encode_flops);
  }
  std::string lines =
      "work          a step " + scaled(passes * static_cast<double>(run.pass.total()), "FLOP") +
      " (attention " + scaled(passes * static_cast<double>(run.pass.attention), "FLOP") +
      "), text " + scaled(static_cast<double>(run.text_flops), "FLOP") + ", decoding " +
      scaled(decode, "FLOP");
  if (encode > 0) lines += ", encoding " + scaled(encode, "FLOP");
  return lines + "\n";
}

std::string ranks_text(const Forecast& run) {
  std::string lines =
      "\nrank  rows           row blocks  attention tiles  VAE    FLOP of      sent in     sent\n"
      "      from to        each step   each step        tiles  each step    each step   in all\n";
  const auto steps = std::max<int64_t>(1, std::ssize(run.timesteps));
  for (const RankForecast& rank : run.ranks) {
    const SequenceBytes& moved = rank.bytes.sequence;
    const int64_t each_step = (moved.attention + moved.gathered + rank.bytes.work.branches) / steps;
    const int64_t all = moved.attention + moved.gathered + rank.bytes.work.once +
                        rank.bytes.work.branches + rank.bytes.work.tiles + rank.bytes.agreement;
    lines += text("%4d  %-6ld %-6ld  %10ld  %15ld  %5ld  %-11s  %-10s  %s\n", rank.mesh.rank,
                  rank.rows.begin, rank.rows.end, rank.units.row_blocks / steps,
                  rank.units.attention_tiles / steps, rank.units.vae_tiles,
                  scaled(static_cast<double>(rank.passes / steps * rank.pass.total()), "").c_str(),
                  scaled(static_cast<double>(each_step), "B").c_str(),
                  scaled(static_cast<double>(all), "B").c_str());
  }
  return lines;
}

std::string memory_text(const Forecast& run, const char* title, MemoryPlan RankForecast::*plan) {
  std::string lines = text("%-30s", title);
  for (const Stage stage : run.stages) lines += text("  %14s", stage_name(stage));
  lines += "\n";
  for (const RankForecast& rank : run.ranks) {
    lines += text("  rank %-23d", rank.mesh.rank);
    for (const Stage stage : run.stages) {
      const int64_t bytes = predicted_bytes(rank.*plan, stage);
      lines += text("  %14s", bytes == 0 ? "-" : gigabytes(bytes).c_str());
    }
    lines += "\n";
  }
  return lines;
}

std::string estimate_line(const Forecast& run, const Estimate& e) {
  std::string fits;
  if (run.plan.placement.device == "cuda" && e.memory_bytes > 0) {
    fits = e.offload.empty() ? std::string("; does not fit, use ") + memory_cure()
                             : "; fits with --offload " + e.offload;
  }
  return text("  %-14s  %9s  %9s  %9s  %9s  ", e.device.c_str(), duration(e.text_seconds).c_str(),
              duration(e.step_seconds).c_str(), duration(e.decode_seconds).c_str(),
              duration(e.run_seconds).c_str()) +
         e.basis + fits + "\n";
}

}  // namespace

std::string forecast_text(const Forecast& run, const CpuSpeed* cpu) {
  std::string all = request_text(run) + work_text(run);
  all += "\ntime without loading   text     a step        VAE        all\n";
  if (cpu != nullptr) all += estimate_line(run, estimate_cpu(run, *cpu));
  for (const Estimate& estimate : estimate_devices(run)) all += estimate_line(run, estimate);
  all += ranks_text(run);
  all += "\n" + memory_text(run, "memory of each process, peak", &RankForecast::host);
  if (run.plan.placement.device == "cuda") {
    all += memory_text(run, "of its GPU, --offload none", &RankForecast::device_none);
    all += memory_text(run, "of its GPU, sequential", &RankForecast::device_sequential);
  }
  for (const std::string& notice : run.plan.notices) all += "note: " + one_line(notice) + "\n";
  if (!run.does_not_fit.empty()) all += "does not fit: " + one_line(run.does_not_fit) + "\n";
  return all;
}

}  // namespace cogvx::app
