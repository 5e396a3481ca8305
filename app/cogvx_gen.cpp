#include <csignal>
#include <exception>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "app/batch.h"
#include "app/doctor.h"
#include "app/engine.h"
#include "app/exit_code.h"
#include "app/forecast/estimates.h"
#include "app/generate.h"
#include "app/json_text.h"
#include "app/launch.h"
#include "app/library_versions.h"
#include "app/life.h"
#include "app/options.h"
#include "app/rank_process.h"
#include "app/resolve.h"
#include "app/standard_streams.h"
#include "app/stop_signal.h"
#include "app/supervisor.h"
#include "app/text_input.h"
#include "app/verify.h"
#include "core/base/allocator.h"
#include "core/base/errors.h"
#include "core/ops/cuda_plugin.h"

namespace {

using namespace cogvx;
using namespace cogvx::app;

void print_version() {
  for (const auto& [name, version] : library_versions("cogvx-gen"))
    std::cout << name << " " << version << "\n";
}

nlohmann::json devices_json() {
  nlohmann::json cuda = nlohmann::json::array();
  std::string none;
  try {
    for (const CudaDevice& device : probe_cuda(program_folder()).devices) {
      cuda.push_back({{"index", device.index},
                      {"name", device.name},
                      {"uuid", device.uuid},
                      {"memory_bytes", device.memory_bytes},
                      {"supported", device.supported}});
    }
  } catch (const DeviceError& error) {
    none = error.what();
  }
  return {
      {"cpu", {{"cores", available_cores()}, {"instruction_set", find_engine().instruction_set}}},
      {"cuda", cuda},
      {"cuda_missing", none}};
}

void list_devices(bool as_json) {
  const nlohmann::json devices = devices_json();
  if (as_json) {
    std::cout << json_text(devices) << "\n";
    return;
  }
  std::cout << "cpu     " << devices["cpu"]["cores"] << " cores, "
            << devices["cpu"]["instruction_set"].get<std::string>() << "\n";
  for (const nlohmann::json& device : devices["cuda"]) {
    std::cout << "cuda " << device["index"] << "  " << device["name"].get<std::string>() << ", "
              << (device["memory_bytes"].get<uint64_t>() >> 30) << " GiB"
              << (device["supported"] ? "" : ", too old for this build") << "\n";
  }
  const std::string missing = devices["cuda_missing"];
  if (!missing.empty()) std::cout << "cuda    none: " << missing << "\n";
}

int doctor(const Options& options) {
  const std::vector<Finding> findings = examine(options);
  std::cout << (options.json ? findings_json(findings) : findings_text(findings));
  return findings_exit_code(findings);
}

// Exit code 5 as that of the run, where there is too little memory for it. Of a launcher's
// processes the first answers for all.
int plan(const Options& options) {
  if (const std::optional<LaunchPlace> place = launch_place(options.launcher)) {
    check_world(*place, options);
    if (place->rank != 0) return 0;
  }
  const Forecast run = forecast(options);
  std::optional<CpuSpeed> cpu;
  if (run.plan.placement.device == "cpu" && run.does_not_fit.empty())
    cpu = measure_cpu(run.checkpoint, cpu_load(run));
  const CpuSpeed* speed = cpu ? &*cpu : nullptr;
  std::cout << (options.json ? forecast_json(run, speed) : forecast_text(run, speed));
  finish_standard_output("the plan is cut");
  return run.does_not_fit.empty() ? 0 : 5;
}

// Answers a question that needs no model: its exit code; none where nothing was asked.
std::optional<int> answer(const Options& options) {
  int code = 0;
  if (options.help) {
    print_help(std::cout);
  } else if (options.version) {
    print_version();
  } else if (options.completion) {
    print_completion(std::cout);
  } else if (options.list_devices) {
    list_devices(options.json);
  } else if (options.doctor) {
    code = doctor(options);
  } else {
    return std::nullopt;
  }
  finish_standard_output("the answer is cut");
  return code;
}

// Where this process's own log lies; empty where none is wanted. Throws OutputError.
std::string own_log(const Options& options, int rank) {
  if (options.log_dir.empty()) return "";
  std::error_code error;
  std::filesystem::create_directories(options.log_dir, error);
  if (error) {
    throw OutputError("--log-dir " + options.log_dir + ": cannot be made: " + error.message() +
                      "; name a folder that can be written");
  }
  return rank_log(options.log_dir, rank);
}

// What can be refused is refused here, once, and not by every process. What may not be read or
// picked twice is handed down.
Supervision supervision(int argc, const char* const* argv, const Options& options) {
  check_options(options);
  Supervision run{.arguments = {argv, argv + argc},
                  .world = static_cast<int>(options.cp * options.sp),
                  .log_dir = options.log_dir,
                  .dist_timeout = options.dist_timeout};
  const Checkpoint checkpoint = open_checkpoint(options.model);
  const Part part{.here = {.size = run.world}};
  if (options.batch.empty()) {
    const RunPlan plan = resolve(options, checkpoint, part);
    if (options.seed == -1)
      run.arguments.insert(run.arguments.end(), {"--seed", std::to_string(plan.request.seed)});
    if (options.prompt_file == "-" || options.prompt_file == "/dev/stdin")
      run.input = plan.request.prompt;
  } else {
    const std::string text = read_batch(options);
    (void)plan_batch(options, text, checkpoint, part);
    if (is_read_once(options.batch)) {
      run.arguments.insert(run.arguments.end(), {"--batch", "-"});
      run.input = text;
    }
  }
  // So that a folder that cannot be written is one line, not one of each process.
  if (!options.log_dir.empty()) Console(options, Console::Voice::kFull, own_log(options, 0));
  return run;
}

// Ends the process at once: the others of the run are lost, and this one waits for them.
[[noreturn]] void end_lost(Console& console, const std::string& line) {
  console.error(line);
  _exit(7);
}

int run(int argc, const char* const* argv, std::optional<Console>& console, Life& life) {
  const Options options = parse_options(argc, argv);
  if (const std::optional<int> code = answer(options)) return *code;
  if (options.plan) return plan(options);
  if (!options.verify.empty()) return verify(argc, argv, options, stop_signal());
  const std::optional<LaunchPlace> place = launch_place(options.launcher);
  const int64_t world = options.cp * options.sp;
  if (!place && world != 1 && options.launcher == "none") {
    throw UsageError("--launcher none starts one process, --cp x --sp is " + std::to_string(world) +
                     "; drop one of them");
  }
  if (!place && world != 1 && !options.dump_config)
    return supervise(supervision(argc, argv, options), stop_signal());
  const int rank = place ? place->rank : 0;
  console.emplace(options, rank == 0 ? Console::Voice::kFull : Console::Voice::kErrorsOnly,
                  own_log(options, rank));
  if (place) check_world(*place, options);
  if (!place || place->world == 1) {
    Ranks alone;
    return generate(options, *console, stop_signal(), alone, life,
                    {.size = static_cast<int>(world)});
  }
  check_options(options);
  make_meeting_place(*place);
  life.begin(*place);
  Ranks ranks = join_ranks(*place, options);
  if (!place->supervised) {
    life.listen(*place, options.dist_timeout,
                [&](const std::string& line) { end_lost(*console, line); });
  }
  const int code = generate(options, *console, stop_signal(), ranks, life,
                            {.rank = place->local_rank, .size = place->local_world});
  // While rank 0's store is there to be told.
  life.end();
  return code;
}

// Whatever fails after a signal fails because of it: a read that it broke off, for one.
int code_of(const std::exception& error) {
  return stop_signal().load() != 0 ? 128 + stop_signal().load() : exit_code_of(error);
}

// libtorch adds a stack trace of many lines.
std::string text_of(const std::exception& error, int code) {
  if (code != 1) return one_line(error.what());
  const std::string text = error.what();
  return "internal error: " + one_line(text.substr(0, text.find('\n')));
}

}  // namespace

int main(int argc, char** argv) {
  open_closed_streams();
  watch_signals({SIGINT, SIGTERM});
  install_allocator();
  std::optional<Console> console;
  Life life;
  try {
    return run(argc, argv, console, life);
  } catch (const std::exception& error) {
    const int code = code_of(error);
    const std::string text = life.where() + text_of(error, code);
    if (console) {
      console->error(text);
    } else {
      std::cerr << "cogvx-gen: error: " << text << std::endl;
    }
    return code;
  }
}
