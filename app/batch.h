#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "app/item.h"
#include "app/options.h"
#include "app/ranks.h"
#include "app/resolve.h"

namespace cogvx::app {

// The text of --batch. Throws UsageError or DataError.
std::string read_batch(const Options& options);

// The items of a batch that are this shard's, in the order of the file. All lines are looked at,
// whatever shard they are of, by a process that writes results; others resolve their own only.
// Throws UsageError, DataError, MemoryError or OutputError that begins with "<file>:<line>: ", for
// the first line that is wrong, and names further ones.
std::vector<Item> plan_batch(const Options& options, const std::string& text,
                             const Checkpoint& checkpoint, const Part& part);

// All processes take what rank 0 found of earlier runs, and the seeds that it picked.
void share_findings(std::vector<Item>& items, Ranks& ranks);

// Of items that are done or have their latents: throws UsageError where pixels or adapters are no
// longer those that they were made from.
void check_what_they_were_made_from(const std::vector<Item>& items, const Checkpoint& checkpoint);

}  // namespace cogvx::app
