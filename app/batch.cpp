#include "app/batch.h"

#include <ATen/ops/empty.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <exception>
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "app/batch_file.h"
#include "app/batch_keys.h"
#include "app/input.h"
#include "app/loras.h"
#include "app/output_names.h"
#include "app/repetition.h"
#include "app/text_input.h"
#include "core/base/errors.h"

namespace cogvx::app {
namespace {

namespace fs = std::filesystem;

constexpr char kDefaultName[] = "{index}-{slug}";
constexpr size_t kNamedLines = 5;

// "2/3": every third item, from the second on.
struct Shard {
  int64_t number = 1;
  int64_t count = 1;
  bool owns(int64_t index) const { return (index - 1) % count == number - 1; }
};

Shard parse_shard(const std::string& text) {
  if (text.empty()) return {};
  Shard shard{0, 0};
  const char* end = text.data() + text.size();
  const auto [slash, error] = std::from_chars(text.data(), end, shard.number);
  if (error == std::errc() && slash != end && *slash == '/') {
    const auto [stop, wrong] = std::from_chars(slash + 1, end, shard.count);
    if (wrong == std::errc() && stop == end && 1 <= shard.number && shard.number <= shard.count)
      return shard;
  }
  throw UsageError("--shard is '" + text + "', wanted I/N with I from 1 to N, for example 1/4");
}

std::string label_of(const Options& options) {
  return options.batch == "-" ? "--batch -" : options.batch;
}

// The same kind of error, with its line in front.
template <typename F>
auto in_line(const std::string& label, const F& work) {
  const auto labelled = [&](const Error& error) {
    const std::string text = error.what();
    return text.starts_with(label + ":") ? text : label + ": " + text;
  };
  try {
    return work();
  } catch (const UsageError& error) {
    throw UsageError(labelled(error));
  } catch (const DataError& error) {
    throw DataError(labelled(error));
  } catch (const MemoryError& error) {
    throw MemoryError(labelled(error));
  } catch (const OutputError& error) {
    throw OutputError(labelled(error));
  }
}

// Lines that are wrong; the first one's error tells of the others.
class WrongLines {
 public:
  void look_at(int64_t line, const std::function<void()>& work) {
    try {
      work();
    } catch (const Error&) {
      if (!first_) {
        first_ = std::current_exception();
      } else {
        others_.push_back(line);
      }
    }
  }
  void refuse() const {
    if (!first_) return;
    try {
      std::rethrow_exception(first_);
    } catch (Error& error) {
      if (!others_.empty()) error.add("; also wrong: " + others_text());
      throw;
    }
  }

 private:
  std::string others_text() const {
    std::string text = others_.size() == 1 ? "line" : "lines";
    const size_t named = std::min(others_.size(), kNamedLines);
    for (size_t i = 0; i < named; ++i) text += (i == 0 ? " " : ", ") + std::to_string(others_[i]);
    if (others_.size() > named) text += " and " + std::to_string(others_.size() - named) + " more";
    return text;
  }

  std::exception_ptr first_;
  std::vector<int64_t> others_;
};

// What a line reads beside the model; the flag, and the file.
std::vector<std::pair<std::string, std::string>> files_read(const Options& options) {
  std::vector<std::pair<std::string, std::string>> files = {{"--image", options.image},
                                                            {"--video", options.video},
                                                            {"--prompt-file", options.prompt_file}};
  for (const LoraFile& file : lora_files(options)) files.emplace_back("--lora", file.path);
  std::erase_if(files, [](const auto& file) { return file.second.empty(); });
  return files;
}

// Every file that the batch writes or reads, and the line that does. No two lines write one, and
// none writes what another reads: that would be another video in another order or shard.
class FilesOfLines {
 public:
  void add(const Options& options, const OutputPlan& outputs, int64_t line) {
    add_written(outputs, line);
    for (const auto& [flag, path] : files_read(options)) add_read(flag, path, line);
  }

 private:
  void add_written(const OutputPlan& outputs, int64_t line) {
    for (const auto& [path, what] :
         {std::pair{&outputs.video, "video"}, std::pair{&outputs.sidecar, "sidecar"},
          std::pair{&outputs.latents, "latents"}, std::pair{&outputs.safe_latents, "latents"},
          std::pair{&outputs.state, "saved state"},
          std::pair{&outputs.frames_dir, "folder of frames"}, std::pair{&outputs.trace, "trace"}}) {
      if (path->empty()) continue;
      const std::string key = whole(*path);
      const auto refuse = [&](int64_t other, const std::string& does) {
        throw UsageError("'" + *path + "' would be its " + what + ", and line " +
                         std::to_string(other) + " " + does +
                         "; give each line another --output, {index} in it will do");
      };
      const int64_t writer = written_.try_emplace(key, line).first->second;
      if (writer != line) refuse(writer, "writes it too");
      const auto reader = read_.find(key);
      if (reader != read_.end() && reader->second != line) refuse(reader->second, "reads it");
    }
  }

  void add_read(const std::string& flag, const std::string& path, int64_t line) {
    std::error_code ignored;
    const fs::path real = fs::weakly_canonical(path, ignored);
    // A link, what it leads to, and the folder of frames that a picture may lie in.
    for (const std::string& key : {whole(path), real.string(), real.parent_path().string()}) {
      const auto writer = written_.find(key);
      if (writer != written_.end() && writer->second != line) {
        throw UsageError("'" + path + "' is its " + flag + ", and line " +
                         std::to_string(writer->second) +
                         " writes it; give that line another --output");
      }
      read_.try_emplace(key, line);
    }
  }

  // A path that is the same for all names of a file, but for a link as such.
  std::string whole(fs::path path) {
    if (!path.has_filename()) path = path.parent_path();
    const std::string folder = path.parent_path().string();
    auto known = folders_.find(folder);
    if (known == folders_.end()) {
      std::error_code ignored;
      const fs::path real = fs::weakly_canonical(folder.empty() ? "." : folder, ignored);
      known = folders_.emplace(folder, ignored ? fs::path(folder) : real).first;
    }
    return (known->second / path.filename()).string();
  }

  std::map<std::string, fs::path> folders_;
  std::map<std::string, int64_t> written_;
  std::map<std::string, int64_t> read_;  // by the first line that does
};

void check_inputs_are_there(const Options& options) {
  for (const auto& [flag, path] : files_read(options)) {
    if (::access(path.c_str(), R_OK) == 0) continue;
    throw DataError(flag + " " + path + ": cannot be read; does it exist?");
  }
}

// A file of last time can only be looked for under a name that is known.
void check_names_come_again(const Options& options, const std::string& pattern) {
  if (options.seed != -1 || !name_uses(pattern, "seed")) return;
  throw UsageError(
      "--output " + pattern +
      " holds {seed}, which --seed -1 picks anew, so that --resume-batch finds nothing; "
      "give a seed, or use {index}");
}

// Goes on from where an earlier run was.
void take_up(Item& item) {
  Options& options = item.options;
  const OutputPlan& output = item.plan.output;
  const Standing standing = item.found.standing;
  if (standing == Standing::kState) options.resume = output.state;
  if (standing == Standing::kSafeLatents) options.decode_latents = output.safe_latents;
  if (standing == Standing::kKeptLatents)
    options.decode_latents = std::exchange(options.save_latents, "");
  if (item.found.own_video) options.overwrite = true;
  item.is_done = standing == Standing::kDone;
  if (standing != Standing::kNothing) item.plan.request.seed = item.found.seed;
}

class BatchPlanner {
 public:
  BatchPlanner(const Options& options, const BatchText& batch, const Checkpoint& checkpoint,
               const Part& part)
      : batch_(batch),
        checkpoint_(checkpoint),
        part_(part),
        shard_(parse_shard(options.shard)),
        label_(label_of(options)),
        resumes_(options.resume_batch),
        defaults_(options) {
    defaults_.batch.clear();
    defaults_.shard.clear();
    defaults_.resume_batch = defaults_.fail_fast = false;
  }

  std::vector<Item> plan() {
    std::vector<Item> items;
    WrongLines wrong;
    for (size_t i = 0; i < batch_.lines.size(); ++i) {
      const int64_t index = static_cast<int64_t>(i) + 1;
      const bool own = shard_.owns(index);
      if (!own && part_.role == Role::kHelps) continue;
      wrong.look_at(batch_.lines[i].number, [&] {
        Item item = plan_line(batch_.lines[i], index, own);
        if (own) items.push_back(std::move(item));
      });
    }
    wrong.refuse();
    return items;
  }

 private:
  Item plan_line(const BatchLine& line, int64_t index, bool own) {
    Item item{.options = defaults_, .plan = {}};
    item.index = index;
    item.label = label_ + ":" + std::to_string(line.number);
    in_line(item.label, [&] {
      apply_line(line_values(batch_.format, line.text, item.label), item.label, item.options);
      if (!item.options.output) item.options.output = video_name(kDefaultName, item.options);
      resolve_item(item);
      if (part_.role == Role::kHelps) return;
      check_inputs_are_there(item.options);
      files_.add(item.options, item.plan.output, line.number);
      if (own) settle_outputs(item);
    });
    return item;
  }

  void resolve_item(Item& item) {
    check_options(item.options);
    item.plan = resolve(item.options, checkpoint_, {.role = Role::kHelps, .here = part_.here});
    const Request& request = item.plan.request;
    if (resumes_) check_names_come_again(item.options, *item.options.output);
    item.options = with_output_names(
        std::move(item.options), request,
        {.index = item.index, .count = static_cast<int64_t>(batch_.lines.size())});
    item.plan.output = outline_output(item.options, item.plan.kind, request);
  }

  void settle_outputs(Item& item) const {
    if (resumes_)
      item.found = find_standing(item.plan.output, item.plan.request, item.options.seed == -1);
    take_up(item);
    if (item.is_done) return;
    item.plan.output =
        plan_output(item.options, item.plan.kind, item.plan.request, item.plan.notices);
  }

  const BatchText& batch_;
  const Checkpoint& checkpoint_;
  const Part& part_;
  Shard shard_;
  std::string label_;
  bool resumes_;
  Options defaults_;
  FilesOfLines files_;
};

}  // namespace

std::string read_batch(const Options& options) {
  const std::string name = options.batch == "-" ? label_of(options) : "--batch " + options.batch;
  return read_text(options.batch, name, kMaxBatchBytes);
}

std::vector<Item> plan_batch(const Options& options, const std::string& text,
                             const Checkpoint& checkpoint, const Part& part) {
  const BatchText batch = split_batch(text, options.batch, label_of(options));
  return BatchPlanner(options, batch, checkpoint, part).plan();
}

void share_findings(std::vector<Item>& items, Ranks& ranks) {
  if (items.empty()) return;
  const int64_t count = std::ssize(items);
  const at::Tensor found = ranks.work().made_once({{count, 2}, at::kLong}, [&] {
    at::Tensor own = at::empty({count, 2}, at::kLong);
    auto* values = own.mutable_data_ptr<int64_t>();
    for (const Item& item : items) {
      *values++ = static_cast<int64_t>(item.found.standing);
      *values++ = static_cast<int64_t>(item.plan.request.seed);
    }
    return own;
  });
  if (ranks.is_first()) return;
  const auto* values = found.const_data_ptr<int64_t>();
  for (Item& item : items) {
    item.found.standing = static_cast<Standing>(*values++);
    item.plan.request.seed = item.found.seed = static_cast<uint64_t>(*values++);
    take_up(item);
  }
}

void check_what_they_were_made_from(const std::vector<Item>& items, const Checkpoint& checkpoint) {
  for (const Item& item : items) {
    const Standing standing = item.found.standing;
    if (standing == Standing::kNothing || standing == Standing::kState) continue;
    in_line(item.label, [&] {
      Request now = item.plan.request;
      now.input_sha256.clear();
      identify(read_input(item.options, now, {}), read_loras(item.options, checkpoint, {}), now);
      const bool pixels = now.input_sha256 == item.found.made.input_sha256;
      if (pixels && now.loras == item.found.made.loras) return;
      throw UsageError(
          item.found.path + " was made from " +
          (pixels ? "other --lora files or scales" : "other pixels of --image or --video") +
          "; give the same, another --output, or remove it to start anew");
    });
  }
}

}  // namespace cogvx::app
