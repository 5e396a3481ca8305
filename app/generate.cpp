#include "app/generate.h"

#include <ATen/ops/full.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "app/computer.h"
#include "app/device_memory.h"
#include "app/item.h"
#include "app/json_text.h"
#include "app/repetition.h"
#include "app/session.h"
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

Item single_item(const Options& options, const Checkpoint& checkpoint, Ranks& ranks,
                 const LocalPlace& here) {
  Item item{.options = options, .plan = {}};
  item.saved = read_continuation(options, checkpoint);
  int64_t& seed = item.options.seed;
  // The seed of a run that goes on has been picked already.
  if (!item.saved.path.empty() && seed == -1)
    seed = static_cast<int64_t>(item.saved.request().seed);
  if (seed == -1) seed = pick_shared_seed(ranks);
  item.plan =
      resolve(item.options, checkpoint,
              {.role = ranks.is_first() ? Role::kWritesResults : Role::kHelps, .here = here});
  settle_offload(item.plan, item.options, checkpoint, ranks.mesh());
  return item;
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

}  // namespace

void generate(const Options& options, Console& console, const std::atomic<int>& stop_signal,
              Ranks& ranks, Life& life, const LocalPlace& here) {
  check_options(options);
  const Checkpoint checkpoint = open_checkpoint(
      options.model, ranks.is_first() ? TextEncoder::kHere : TextEncoder::kElsewhere);
  std::vector<Item> items;
  items.push_back(single_item(options, checkpoint, ranks, here));
  const RunPlan& first = items.front().plan;
  Computer computer(first.placement, first.request, ranks);
  Components components(checkpoint, computer, first.request.dtype, Keeping::kOnePart);
  const Session session{checkpoint, computer, components, console, ranks, life, stop_signal};
  const Engine& engine = computer.engine();
  ranks.agree("the engine (build, libraries, instruction set)", engine_to_json(engine).dump());
  prepare(session, items.front());
  if (options.dump_config) return print_config(items.front());
  notice_environment(engine, items.front().plan.notices);
  expect_checkpoints(items, components);
  std::vector<StageReport> stages;
  std::vector<ItemTexts> texts = encode_prompts_of(session, items, stages);
  VideoRun run(session, items.front(), std::move(stages));
  run.make(std::move(texts.front()));
  run.finish();
}

}  // namespace cogvx::app
