#include "app/batch.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "app/batch_file.h"
#include "app/input.h"
#include "app/loras.h"
#include "app/output_names.h"
#include "app/repetition.h"
#include "app/text_input.h"
#include "core/base/errors.h"
#include "core/base/monitor.h"
#include "core/text/prompt_text.h"

namespace cogvx::app {
namespace {

using nlohmann::json;

constexpr size_t kLinesNamed = 5;
// Of all videos of a batch, which share a loaded model, or of the run that makes them.
constexpr const char* kOfTheBatch[] = {"model",   "dtype",       "attention",    "batch",
                                       "json",    "progress",    "resume_batch", "fail_fast",
                                       "shard",   "prompt_file", "resume",       "decode_latents",
                                       "verbose", "quiet",       "log_file"};

std::string label_of(const Options& options) {
  return options.batch == "-" ? "--batch -" : options.batch;
}

// The error again, as one about this line.
[[noreturn]] void throw_about(const std::string& label, const Error& error) {
  const std::string what = error.what();
  const std::string text = what.starts_with(label + ":") ? what : label + ": " + what;
  if (dynamic_cast<const UsageError*>(&error) != nullptr) throw UsageError(text);
  if (dynamic_cast<const DataError*>(&error) != nullptr) throw DataError(text);
  if (dynamic_cast<const DeviceError*>(&error) != nullptr) throw DeviceError(text);
  if (dynamic_cast<const MemoryError*>(&error) != nullptr) throw MemoryError(text);
  if (dynamic_cast<const OutputError*>(&error) != nullptr) throw OutputError(text);
  throw;
}

// Does the same for every item and goes on after one that is wrong, so that all that are can be
// named in one line.
void for_each_line(std::vector<Item>& items, const std::function<void(Item&)>& work) {
  std::exception_ptr first;
  std::vector<std::string> others;
  for (Item& item : items) {
    try {
      try {
        work(item);
      } catch (Error& error) {
        if (first) others.push_back(item.label.substr(item.label.rfind(':') + 1));
        if (!first) throw_about(item.label, error);
      }
    } catch (const Error&) {
      first = std::current_exception();
    }
  }
  if (!first) return;
  try {
    std::rethrow_exception(first);
  } catch (Error& error) {
    if (!others.empty()) {
      std::string lines;
      for (size_t i = 0; i < std::min(kLinesNamed, others.size()); ++i)
        lines += (i > 0 ? ", " : "") + others[i];
      error.add(" (" + std::to_string(others.size()) + " more wrong: line " + lines +
                (others.size() > kLinesNamed ? "..." : "") + ")");
    }
    throw;
  }
}

// Only what one video has of its own may stand in a line.
void check_keys(const json& values) {
  for (const auto& [key, ignored] : values.items()) {
    const auto& table = option_table();
    const auto spec = std::find_if(table.begin(), table.end(),
                                   [&, &name = key](const auto& s) { return s.key() == name; });
    if (spec == table.end()) continue;  // apply_json says what was meant
    const std::string group = spec->group;
    const bool of_video = group == kVideoGroup || group == kOutputGroup;
    const bool shared =
        std::find(std::begin(kOfTheBatch), std::end(kOfTheBatch), key) != std::end(kOfTheBatch);
    if (!of_video || shared) {
      throw UsageError("'" + key + "' is one for the whole batch; give " + spec->names.front() +
                       " on the command line");
    }
  }
}

json with_underscores(const json& values) {
  json keys = json::object();
  for (const auto& [name, value] : values.items()) {
    std::string key = name;
    std::replace(key.begin(), key.end(), '-', '_');
    if (keys.contains(key)) throw UsageError("'" + key + "' is given twice");
    keys[key] = value;
  }
  return keys;
}

Options options_of_line(const Options& options, const json& line, const std::string& label) {
  const json values = with_underscores(line);
  check_keys(values);
  Options item = options;
  item.batch.clear();
  item.shard.clear();
  item.resume_batch = item.fail_fast = false;
  apply_json_over(values, label, item);
  if (!item.output) item.output = video_name("{index}-{slug}", item);
  check_options(item);
  return item;
}

// All outputs of an item: two of one name would lose one of them.
void check_collisions(const std::vector<Item>& items) {
  std::map<std::filesystem::path, const Item*> owners;
  for (const Item& item : items) {
    const OutputPlan& outputs = item.plan.output;
    for (const std::string* path :
         {&outputs.video, &outputs.sidecar, &outputs.latents, &outputs.safe_latents, &outputs.state,
          &outputs.frames_dir, &outputs.trace}) {
      if (path->empty()) continue;
      const auto [place, fresh] =
          owners.try_emplace(std::filesystem::path(*path).lexically_normal(), &item);
      if (fresh || place->second == &item) continue;
      throw UsageError(item.label + ": would write '" + *path + "', as " + place->second->label +
                       " does; give them different names, or {index} in --output");
    }
  }
}

// Before hours of work; what is in them is read when it is needed.
void check_readable(const Options& options) {
  const auto check = [](const char* flag, const std::string& path) {
    std::error_code error;
    if (path.empty() || std::filesystem::exists(path, error)) return;
    throw DataError(std::string(flag) + " " + path + ": no such file");
  };
  check("--image", options.image);
  check("--video", options.video);
  for (const LoraFile& lora : lora_files(options)) check("--lora", lora.path);
}

// Whether the files beside the model are those that the video was made from.
bool inputs_agree(const Item& item, const Checkpoint& checkpoint) {
  const Request& made = item.found.request;
  if (made.input_sha256.empty() && made.loras.empty() && item.options.lora.empty()) return true;
  Request now = item.plan.request;
  identify(read_input(item.options, now, {}), read_loras(item.options, checkpoint, {}), now);
  return now.input_sha256 == made.input_sha256 && now.loras == made.loras;
}

}  // namespace

std::string read_batch_text(const Options& options) {
  return read_text(options.batch, "--batch " + options.batch, kMaxBatchBytes);
}

std::vector<Item> parse_batch(const Options& options, std::string_view text) {
  const std::string label = label_of(options);
  const BatchText batch = split_batch(text, options.batch, label);
  std::vector<Item> items(batch.lines.size());
  for (size_t i = 0; i < items.size(); ++i) {
    items[i].index = static_cast<int64_t>(i) + 1;
    items[i].label = label + ":" + std::to_string(batch.lines[i].number);
  }
  for_each_line(items, [&](Item& item) {
    const std::string_view line = batch.lines[static_cast<size_t>(item.index - 1)].text;
    item.options =
        options_of_line(options, line_values(batch.format, line, item.label), item.label);
    item.resumes = options.resume_batch;
    check_readable(item.options);
  });
  return items;
}

void plan_items(std::vector<Item>& items, const Checkpoint& checkpoint, const Part& part,
                const PickSeeds& pick) {
  std::vector<Item*> undecided;
  for (Item& item : items) {
    item.any_seed = item.options.seed == -1;
    if (!item.any_seed) continue;
    undecided.push_back(&item);
    if (item.resumes && name_uses(*item.options.output, "seed")) {
      throw UsageError(item.label +
                       ": --resume-batch cannot find a video whose name holds a seed that was "
                       "picked; give --seed, or an --output without {seed}");
    }
  }
  if (!undecided.empty()) {
    const std::vector<int64_t> seeds = pick(std::ssize(undecided));
    for (size_t i = 0; i < undecided.size(); ++i) undecided[i]->options.seed = seeds[i];
  }
  Part helper = part;
  helper.role = Role::kHelps;
  for_each_line(items, [&](Item& item) {
    item.plan = resolve(item.options, checkpoint, helper);
    item.options = with_output_names(item.options, item.plan.request,
                                     {.index = item.index, .count = std::ssize(items)});
    item.plan.output = outline_output(item.options, item.plan.kind, item.plan.request);
  });
  check_collisions(items);
}

std::vector<Item> keep_shard(std::vector<Item> items, const Options& options) {
  if (options.shard.empty()) return items;
  const std::string& text = options.shard;
  int64_t shard = 0, shards = 0;
  const size_t slash = std::min(text.find('/'), text.size());
  const auto read = [&](size_t begin, size_t end, int64_t& value) {
    const auto [rest, error] = std::from_chars(text.data() + begin, text.data() + end, value);
    return error == std::errc() && rest == text.data() + end;
  };
  if (slash == text.size() || !read(0, slash, shard) || !read(slash + 1, text.size(), shards) ||
      shard < 1 || shards < shard) {
    throw UsageError("--shard is '" + excerpt(text, 40) +
                     "', wanted I/N with I from 1 to N, as 2/4");
  }
  std::erase_if(items, [&](const Item& item) { return (item.index - 1) % shards != shard - 1; });
  return items;
}

void look_at_outputs(std::vector<Item>& items, const Checkpoint& checkpoint) {
  for_each_line(items, [&](Item& item) {
    if (item.resumes) {
      item.found = find_standing(item.plan.output, item.plan.request, item.any_seed);
      if (item.found.standing == Standing::kDone && !inputs_agree(item, checkpoint))
        item.found = {};
    }
    const Standing standing = item.found.standing;
    if (standing == Standing::kDone) return;
    Options options = item.options;
    options.overwrite |= standing == Standing::kIncomplete;
    const bool latents = standing == Standing::kSafeLatents || standing == Standing::kKeptLatents;
    if (latents) options.decode_latents = item.found.path;
    if (standing == Standing::kState) options.resume = item.found.path;
    item.plan.output = plan_output(options, item.plan.kind, item.plan.request, item.plan.notices);
  });
}

void share_findings(std::vector<Item>& items, Ranks& ranks) {
  if (items.empty()) return;
  const TensorShape shape{{std::ssize(items), 2}, at::kLong};
  const at::Tensor found = ranks.work().made_once(shape, [&] {
    at::Tensor all = at::empty(shape.sizes, at::TensorOptions().dtype(at::kLong));
    auto* at = all.mutable_data_ptr<int64_t>();
    for (const Item& item : items) {
      *at++ = static_cast<int64_t>(item.found.standing);
      *at++ = static_cast<int64_t>(item.found.request.seed);
    }
    return all;
  });
  const auto* at = found.const_data_ptr<int64_t>();
  for (Item& item : items) {
    const auto standing = static_cast<Standing>(*at++);
    const int64_t seed = *at++;
    const OutputPlan& output = item.plan.output;
    item.is_done = standing == Standing::kDone;
    if (standing == Standing::kState) item.options.resume = output.state;
    if (standing == Standing::kSafeLatents) item.options.decode_latents = output.safe_latents;
    if (standing == Standing::kKeptLatents) item.options.decode_latents = output.latents;
    if (item.any_seed && standing != Standing::kNothing) {
      item.options.seed = seed;
      item.plan.request.seed = static_cast<uint64_t>(seed);
    }
  }
}

}  // namespace cogvx::app
