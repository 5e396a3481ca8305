#pragma once

#include <functional>
#include <vector>

#include "app/item.h"
#include "app/options.h"
#include "app/ranks.h"
#include "app/resolve.h"

namespace cogvx::app {

// Errors of a batch begin with the line that they are about, "batch.jsonl:7: ...". Where several
// lines are wrong, the first one's error names the others.

// All of --batch as text. Throws UsageError or DataError.
std::string read_batch_text(const Options& options);
// An item for each line, with its place and the options of the command line under its own. Throws
// UsageError and DataError.
std::vector<Item> parse_batch(const Options& options, std::string_view text);

// Seeds for so many items that asked for any.
using PickSeeds = std::function<std::vector<int64_t>(int64_t count)>;
// Decides every item, whichever shard it is in, and what all outputs are called. Throws what
// `resolve` does, and UsageError where two items would write one file.
void plan_items(std::vector<Item>& items, const Checkpoint& checkpoint, const Part& part,
                const PickSeeds& pick);
// Leaves those of --shard I/N. Throws UsageError.
std::vector<Item> keep_shard(std::vector<Item> items, const Options& options);

// Looks what stands under the names of the outputs, with --resume-batch for what an earlier run
// left; only where results are written. Throws UsageError, DataError or OutputError.
void look_at_outputs(std::vector<Item>& items, const Checkpoint& checkpoint);
// Makes what was found there known to every process, and the items go on from it.
void share_findings(std::vector<Item>& items, Ranks& ranks);

}  // namespace cogvx::app
