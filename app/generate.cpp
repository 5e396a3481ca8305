#include "app/generate.h"

#include <ATen/ops/full.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>

#include "app/batch.h"
#include "app/batch_report.h"
#include "app/computer.h"
#include "app/exit_code.h"
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
int64_t pick_shared_seed(Ranks& ranks) {
  const at::Tensor picked = ranks.work().made_once(
      {{1}, at::kLong}, [] { return at::full({1}, pick_seed(), at::kLong); });
  return picked.item<int64_t>();
}

std::vector<Item> single_item(const Options& options, const Checkpoint& checkpoint, Ranks& ranks,
                              const Part& part) {
  Item item{.options = options, .plan = {}};
  item.saved = read_continuation(options, checkpoint);
  int64_t& seed = item.options.seed;
  // The seed of a run that goes on has been picked already.
  if (!item.saved.path.empty() && seed == -1)
    seed = static_cast<int64_t>(item.saved.request().seed);
  if (seed == -1) seed = pick_shared_seed(ranks);
  item.plan = resolve(item.options, checkpoint, part);
  std::vector<Item> items;
  items.push_back(std::move(item));
  return items;
}

// The text is rank 0's: others may have another standard input, or none.
std::vector<Item> batch_items(const Options& options, const Checkpoint& checkpoint, Ranks& ranks,
                              const Part& part) {
  const std::string text = ranks.first_said(ranks.is_first() ? read_batch(options) : "");
  std::vector<Item> items = plan_batch(options, text, checkpoint, part);
  if (ranks.is_first()) check_what_they_were_made_from(items, checkpoint);
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
    if (!item.found.path.empty()) components.expect(item.found.made.checkpoint, item.found.path);
  }
}

void print_config(const Item& item) {
  std::cout << json_text(options_to_json(resolved_options(item.options, item.plan)), /*indent=*/2)
            << "\n";
  finish_standard_output("--dump-config is cut");
}

// Whose placement was settled; any where all are done.
Item& first_to_make(std::vector<Item>& items) {
  const auto found =
      std::find_if(items.begin(), items.end(), [](const Item& item) { return !item.is_done; });
  return found == items.end() ? items.front() : *found;
}

// One that is prepared at its turn, so that inputs are in memory one after the other. The report
// knows of it before its name is printed, which may fail.
void make_item(const Session& session, Item& item, ItemTexts texts, std::vector<StageReport> stages,
               BatchReport& report) {
  const auto start = std::chrono::steady_clock::now();
  prepare(session, item);
  if (session.ranks.is_first()) session.say(item.plan.notices);
  if (!item.saved.path.empty())
    session.components.expect(item.saved.request().checkpoint, item.saved.path);
  VideoRun run(session, item, std::move(stages));
  run.make(std::move(texts));
  report.made(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  run.finish();
}

void make_batch(const Session& session, std::vector<Item>& items, BatchReport& report,
                bool fail_fast) {
  std::vector<StageReport> stages;
  std::vector<ItemTexts> texts = encode_prompts_of(session, items, stages);
  for (size_t i = 0; i < items.size(); ++i) {
    Item item = std::move(items[i]);
    report.begin(i);
    if (item.is_done) {
      report.skip(item);
      continue;
    }
    try {
      make_item(session, item, std::move(texts[i]), std::exchange(stages, {}), report);
    } catch (const ItemFailed& failure) {
      report.failed(item, failure);
      if (fail_fast) return;
    }
  }
}

int run_batch(const Session& session, std::vector<Item>& items, const Options& options) {
  const bool speaks = session.ranks.is_first();
  BatchReport report(items, options.json, session.console, speaks);
  try {
    make_batch(session, items, report, options.fail_fast);
  } catch (UsageError&) {
    // The same command would be refused again.
    throw;
  } catch (Error& error) {
    error.add(report.way_on());
    throw;
  }
  if (speaks) report.print_summary(session.components.loads());
  // Nobody leaves before all is said: the first to end with a failure ends the others.
  (void)session.ranks.first_said("");
  return report.failures() > 0 ? kBatchFailures : 0;
}

int run_single(const Session& session, std::vector<Item>& items) {
  Item& item = items.front();
  prepare(session, item);
  if (item.options.dump_config) {
    print_config(item);
    return 0;
  }
  notice_environment(session.computer.engine(), item.plan.notices);
  expect_checkpoints(items, session.components);
  std::vector<StageReport> stages;
  std::vector<ItemTexts> texts = encode_prompts_of(session, items, stages);
  VideoRun run(session, item, std::move(stages));
  run.make(std::move(texts.front()));
  run.finish();
  return 0;
}

}  // namespace

int generate(const Options& options, Console& console, const std::atomic<int>& stop_signal,
             Ranks& ranks, Life& life, const LocalPlace& here) {
  check_options(options);
  const Checkpoint checkpoint = open_checkpoint(
      options.model, ranks.is_first() ? TextEncoder::kHere : TextEncoder::kElsewhere);
  const Part part{.role = ranks.is_first() ? Role::kWritesResults : Role::kHelps, .here = here};
  const bool is_batch = !options.batch.empty();
  std::vector<Item> items = is_batch ? batch_items(options, checkpoint, ranks, part)
                                     : single_item(options, checkpoint, ranks, part);
  if (items.empty()) {
    console.info("no video is of --shard " + options.shard + ": the batch has fewer");
    return 0;
  }
  const SharedMemory memory = settle_memory(items, checkpoint, ranks, here);
  RunPlan& first = first_to_make(items).plan;
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
  ranks.agree("the engine (build, libraries, instruction set)",
              engine_to_json(computer.engine()).dump());
  if (!is_batch) return run_single(session, items);
  notice_environment(computer.engine(), first.notices);
  expect_checkpoints(items, components);
  return run_batch(session, items, options);
}

}  // namespace cogvx::app
