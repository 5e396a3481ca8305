#include "app/generate.h"

#include <ATen/ops/full.h>

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>
#include <utility>

#include "app/batch.h"
#include "app/batch_log.h"
#include "app/computer.h"
#include "app/item.h"
#include "app/json_text.h"
#include "app/repetition.h"
#include "app/session.h"
#include "app/shared_memory.h"
#include "app/sidecar.h"
#include "app/standard_streams.h"
#include "app/texts.h"
#include "app/video_run.h"

namespace cogvx::app {
namespace {

// All ranks get what rank 0 picks.
std::vector<int64_t> pick_shared_seeds(int64_t count, Ranks& ranks) {
  const at::Tensor picked = ranks.work().made_once({{count}, at::kLong}, [&] {
    at::Tensor seeds = at::full({count}, 0, at::kLong);
    std::generate_n(seeds.mutable_data_ptr<int64_t>(), count, pick_seed);
    return seeds;
  });
  const auto* first = picked.const_data_ptr<int64_t>();
  return {first, first + count};
}

Item single_item(const Options& options, const Checkpoint& checkpoint, Ranks& ranks,
                 const LocalPlace& here) {
  Item item{.options = options, .plan = {}};
  item.saved = read_continuation(options, checkpoint);
  int64_t& seed = item.options.seed;
  // The seed of a run that goes on has been picked already.
  if (!item.saved.path.empty() && seed == -1)
    seed = static_cast<int64_t>(item.saved.request().seed);
  if (seed == -1) seed = pick_shared_seeds(1, ranks).front();
  item.plan =
      resolve(item.options, checkpoint,
              {.role = ranks.is_first() ? Role::kWritesResults : Role::kHelps, .here = here});
  return item;
}

std::vector<Item> batch_items(const Options& options, const Checkpoint& checkpoint, Ranks& ranks,
                              const LocalPlace& here) {
  std::vector<Item> items = parse_batch(options, read_batch_text(options));
  plan_items(items, checkpoint, {.here = here},
             [&](int64_t count) { return pick_shared_seeds(count, ranks); });
  items = keep_shard(std::move(items), options);
  if (ranks.is_first()) look_at_outputs(items, checkpoint);
  share_findings(items, ranks);
  return items;
}

// Checkpoints that the items are known to be made with.
void expect_checkpoints(const std::vector<Item>& items, Components& components) {
  for (const Item& item : items) {
    const std::string& from = item.options.from;
    if (!from.empty()) components.expect(sidecar_request(from).checkpoint, from);
    if (!item.saved.path.empty())
      components.expect(item.saved.request().checkpoint, item.saved.path);
  }
}

void print_config(const Item& item) {
  std::cout << json_text(options_to_json(resolved_options(item.options, item.plan)), /*indent=*/2)
            << "\n";
  finish_standard_output("--dump-config is cut");
}

// The videos one after another, each from prompts that were encoded for all.
void make_videos(const Session& session, std::vector<Item>& items, BatchLog& log) {
  std::vector<StageReport> stages;
  std::vector<ItemTexts> texts = encode_prompts_of(session, items, stages);
  for (size_t i = 0; i < items.size(); ++i) {
    Item& item = items[i];
    if (item.is_done) continue;
    log.begin(item);
    try {
      if (session.is_batch) prepare(session, item);
      VideoRun run(session, item, std::exchange(stages, {}));
      run.make(std::move(texts[i]));
      run.finish();
      log.end(run.sha256_frames());
    } catch (const ItemFailed& failed) {
      session.components.end_stage();
      log.fail(failed);
      if (items.size() > 1 && log.ends_at_failure()) break;
    } catch (Interrupted& stop) {
      stop.add(log.way_on());
      throw;
    }
    texts[i] = {};
  }
}

}  // namespace

void generate(const Options& options, Console& console, const std::atomic<int>& stop_signal,
              Ranks& ranks, Life& life, const LocalPlace& here) {
  check_options(options);
  const Checkpoint checkpoint = open_checkpoint(
      options.model, ranks.is_first() ? TextEncoder::kHere : TextEncoder::kElsewhere);
  const bool is_batch = !options.batch.empty();
  std::vector<Item> items;
  if (is_batch) {
    items = batch_items(options, checkpoint, ranks, here);
  } else {
    items.push_back(single_item(options, checkpoint, ranks, here));
  }
  BatchLog log(options, items, console, ranks.is_first());
  const auto to_make =
      std::find_if(items.begin(), items.end(), [](const Item& item) { return !item.is_done; });
  if (to_make == items.end()) return log.finish();
  const SharedMemory memory = settle_memory(items, checkpoint, ranks, here);
  const RunPlan& first = to_make->plan;
  Computer computer(first.placement, first.request, ranks);
  Components components(checkpoint, computer, first.request.dtype, memory.keeping);
  const Session session{.checkpoint = checkpoint,
                        .computer = computer,
                        .components = components,
                        .console = console,
                        .ranks = ranks,
                        .life = life,
                        .stop_signal = stop_signal,
                        .is_batch = is_batch,
                        .resident = memory.resident};
  const Engine& engine = computer.engine();
  ranks.agree("the engine (build, libraries, instruction set)", engine_to_json(engine).dump());
  if (!is_batch) prepare(session, items.front());
  if (options.dump_config) return print_config(items.front());
  notice_environment(engine, to_make->plan.notices);
  expect_checkpoints(items, components);
  make_videos(session, items, log);
  log.finish();
}

}  // namespace cogvx::app
