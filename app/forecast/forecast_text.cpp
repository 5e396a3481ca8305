#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <sstream>

#include "app/forecast/estimates.h"
#include "app/memory_check.h"
#include "app/standard_streams.h"
#include "core/text/prompt_text.h"

namespace cogvx::app {
namespace {

constexpr size_t kPromptShown = 60;
constexpr size_t kGuidanceShown = 4;
constexpr size_t kWidth = 100;

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

// The label and the words after it, in lines of kWidth at most.
std::string wrapped(const std::string& label, const std::string& words) {
  std::string lines = label;
  size_t column = label.size();
  std::istringstream from(words);
  bool first = true;
  for (std::string word; from >> word; first = false) {
    const size_t blank = first ? 0 : 1;
    const bool fits = first || column + blank + word.size() <= kWidth;
    if (!fits) lines += "\n" + std::string(label.size(), ' ');
    column = (fits ? column + blank : label.size()) + word.size();
    lines += (fits && blank == 1 ? " " : "") + word;
  }
  return lines + "\n";
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

std::string steps_text(const Forecast& run) {
  if (!run.has(Stage::kDenoise)) return "decoded only";
  const std::string steps = text("%zu steps of %s", run.timesteps.size(),
                                 scheduler_kind_name(run.plan.request.scheduler.kind).c_str());
  return run.first_step == 0 ? steps : steps + text(" after the first %ld", run.first_step);
}

std::string request_text(const Forecast& run) {
  const Request& r = run.plan.request;
  const TransformerConfig& c = run.checkpoint.transformer;
  std::string lines = wrapped(
      "", text("%s, %s: %ld frames of %ldx%ld, %s, %s, seed %lu", run.plan.kind.name.c_str(),
               task_text(r.task).c_str(), decoded_frames(latent_shape(r, run.checkpoint).decoded()),
               r.width, r.height, dtype_name(r.dtype), steps_text(run).c_str(), r.seed));
  lines += "  prompt      " + one_line(excerpt(r.prompt, kPromptShown)) + "\n";
  lines += text("  sequence    %ld rows: %ld of text, %ld of video; %ld layers, %ld heads of %ld\n",
                run.rows, r.max_text_tokens, run.rows - r.max_text_tokens, c.num_layers,
                c.num_attention_heads, c.attention_head_dim);
  if (!run.guidance.empty()) lines += "  guidance    " + guidance_text(run) + "\n";
  const Placement& p = run.plan.placement;
  return lines +
         text("placement     %s, --cp %d --sp %d (%s): %zu process%s", p.device.c_str(), p.cp, p.sp,
              p.sp_mode.c_str(), run.ranks.size(), run.ranks.size() == 1 ? "" : "es") +
         (p.device == "cpu" ? text(" of %d thread%s\n", p.threads, p.threads == 1 ? "" : "s")
                            : ", one GPU each\n");
}

std::string work_text(const Forecast& run) {
  const auto passes = static_cast<double>(run.branches);
  double decode = 0, encode = 0;
  for (const RankForecast& rank : run.ranks) {
    decode += static_cast<double>(rank.decode_flops);
    encode += static_cast<double>(rank.encode_flops);
  }
  std::string words;
  if (run.has(Stage::kDenoise)) {
    words = "a step " + scaled(passes * static_cast<double>(run.pass.total()), "FLOP") +
            " (attention " + scaled(passes * static_cast<double>(run.pass.attention), "FLOP") +
            "), text " + scaled(static_cast<double>(run.text_flops), "FLOP") + ", ";
  }
  if (encode > 0) words += "encoding " + scaled(encode, "FLOP") + ", ";
  return wrapped("work          ", words + "decoding " + scaled(decode, "FLOP"));
}

int64_t total(const BytesMoved& b) {
  return b.sequence.attention + b.sequence.gathered + b.work.once + b.work.branches + b.work.tiles +
         b.agreement;
}

std::string ranks_text(const Forecast& run) {
  std::string lines =
      "\nrank  rows           row blocks  attention tiles  VAE    FLOP of      sent in     sent\n"
      "      from to        each step   each step        tiles  each step    one step    in all\n";
  const auto steps = std::max<int64_t>(1, std::ssize(run.timesteps));
  for (const RankForecast& rank : run.ranks) {
    lines += text("%4d  %-6ld %-6ld  %10ld  %15ld  %5ld  %-11s  %-10s  %s\n", rank.mesh.rank,
                  rank.rows.begin, rank.rows.end, rank.units.row_blocks / steps,
                  rank.units.attention_tiles / steps, rank.units.vae_tiles,
                  scaled(static_cast<double>(rank.passes / steps * rank.pass.total()), "").c_str(),
                  scaled(static_cast<double>(total(rank.step_bytes)), "B").c_str(),
                  scaled(static_cast<double>(total(rank.bytes)), "B").c_str());
  }
  return lines;
}

std::string memory_text(const Forecast& run, const char* title, MemoryPlan RankForecast::*plan) {
  std::string lines = text("%-32s", title);
  for (const Stage stage : run.stages) lines += text("  %14s", stage_name(stage));
  lines += "\n";
  for (const RankForecast& rank : run.ranks) {
    lines += text("  rank %-25d", rank.mesh.rank);
    for (const Stage stage : run.stages) {
      const int64_t bytes = predicted_bytes(rank.*plan, stage);
      lines += text("  %14s", bytes == 0 ? "-" : gigabytes(bytes).c_str());
    }
    lines += "\n";
  }
  return lines;
}

std::string estimate_line(const Estimate& e) {
  const std::string fits = !e.does_not_fit.empty() ? "  does not fit"
                           : !e.offload.empty()    ? "  --offload " + e.offload
                                                   : "";
  return text("  %-14s%10s%10s%10s%10s  ", e.device.c_str(), duration(e.text_seconds).c_str(),
              duration(e.step_seconds).c_str(), duration(e.decode_seconds).c_str(),
              duration(e.run_seconds).c_str()) +
         e.basis + fits + "\n";
}

std::string times_text(const Forecast& run, const CpuSpeed* cpu) {
  std::string lines =
      text("\n%-16s%10s%10s%10s%10s\n", "time to compute", "text", "a step", "VAE", "all");
  if (cpu != nullptr) lines += estimate_line(estimate_cpu(run, *cpu));
  const std::vector<Estimate> estimates = estimate_devices(run);
  for (const Estimate& estimate : estimates) lines += estimate_line(estimate);
  const auto none =
      std::ranges::find_if(estimates, [](auto& e) { return !e.does_not_fit.empty(); });
  if (none != estimates.end()) lines += wrapped("  ", one_line(none->does_not_fit));
  return lines;
}

}  // namespace

std::string forecast_text(const Forecast& run, const CpuSpeed* cpu) {
  const bool gpu = run.plan.placement.device == "cuda";
  std::string all = request_text(run) + work_text(run) + times_text(run, cpu) + ranks_text(run);
  all += "\n" + memory_text(run, gpu ? "peak memory of hosts, as on CPUs" : "peak memory",
                            &RankForecast::host);
  if (gpu) {
    all += memory_text(run, "of GPUs, --offload none", &RankForecast::device_none);
    all += memory_text(run, "of GPUs, --offload sequential", &RankForecast::device_sequential);
  }
  for (const std::string& notice : run.plan.notices) all += wrapped("note: ", one_line(notice));
  if (!run.does_not_fit.empty()) all += wrapped("does not fit: ", one_line(run.does_not_fit));
  return all;
}

}  // namespace cogvx::app
