#include "app/component_writer.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <numeric>
#include <span>
#include <system_error>

#include "core/base/errors.h"
#include "core/base/json.h"
#include "core/base/read_file.h"
#include "core/weights/non_finite.h"
#include "core/weights/safetensors.h"
#include "core/weights/weight_map.h"
#include "io/descriptor.h"
#include "io/messages.h"

namespace cogvx::app {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int64_t kChunkBytes = int64_t{32} << 20;

io::Descriptor make_file(const fs::path& path, const fs::path& shown) {
  io::Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!file.is_open())
    io::throw_output_error(shown, "cannot make " + path.filename().string(), errno);
  return file;
}

const fs::path& checked_target(const fs::path& target) {
  std::error_code error;
  const fs::file_status status = fs::symlink_status(target, error);
  if (status.type() == fs::file_type::not_found) return target;
  if (!fs::is_directory(status))
    throw UsageError(io::quoted(target) + " is there and no folder; give another OUT");
  if (!fs::is_empty(target, error) || error)
    throw UsageError(io::quoted(target) + " holds files; give another OUT, or remove it");
  return target;
}

fs::path resolved(const fs::path& target) {
  const fs::path normal = fs::absolute(target).lexically_normal();
  return normal.has_filename() ? normal : normal.parent_path();
}

at::ScalarType scalar_type(const std::string& dtype) {
  return dtype == "F32" ? at::kFloat : dtype == "F16" ? at::kHalf : at::kBFloat16;
}

std::span<const std::byte> bytes_of(const at::Tensor& tensor) {
  return {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()};
}

// Shows a tensor in its new dtype, some of its rows at a time.
class Converter {
 public:
  Converter(const TensorSource& source, const std::string& dtype)
      : source_(source), dtype_(dtype) {}

  std::string dtype_of(const PlannedTensor& tensor) const {
    return dtype_.empty() ? tensor.dtype : dtype_;
  }

  template <typename Use>
  void chunks(const PlannedTensor& tensor, const Use& use) const {
    for (const TensorPart& part : tensor.parts) {
      const int64_t step = rows_at_once(source_.tensors()[part.source]);
      for (int64_t begin = part.rows.begin; begin < part.rows.end; begin += step)
        use(chunk(tensor, part.source, {begin, std::min(begin + step, part.rows.end)}));
    }
  }

 private:
  static int64_t rows_at_once(const SourceTensor& tensor) {
    int64_t row = 4;
    for (size_t i = 1; i < tensor.shape.size(); ++i) row *= tensor.shape[i];
    return std::max<int64_t>(1, kChunkBytes / row);
  }

  at::Tensor chunk(const PlannedTensor& tensor, size_t source, RowRange rows) const {
    const at::Tensor stored = source_.read_rows(source, rows);
    const auto complain = [&](size_t bad, const std::string& what) {
      throw DataError(source_.label(source) + ": tensor " +
                      quoted_excerpt(source_.tensors()[source].name) + " holds at least " +
                      std::to_string(bad) + " " + what);
    };
    if (const size_t bad = count_non_finite(bytes_of(stored), tensor.dtype))
      complain(bad, "NaN or infinite values; is the file damaged?");
    const std::string dtype = dtype_of(tensor);
    at::Tensor converted = stored.to(scalar_type(dtype));
    if (const size_t bad = count_non_finite(bytes_of(converted), dtype))
      complain(bad, "values beyond the range of the wanted dtype; take --dtype bf16 or fp32");
    return converted;
  }

  const TensorSource& source_;
  const std::string& dtype_;
};

struct Shard {
  std::string name;
  std::vector<size_t> tensors;  // in the order they are written
  std::vector<StoredTensor> header;
};

size_t byte_size(const StoredTensor& tensor) {
  size_t size = stored_dtype_size(tensor.dtype);
  for (const int64_t extent : tensor.shape) size *= static_cast<size_t>(extent);
  return size;
}

std::string shard_name(const std::string& stem, size_t index, size_t count) {
  if (count == 1) return stem + ".safetensors";
  char text[64];
  std::snprintf(text, sizeof(text), "-%05zu-of-%05zu.safetensors", index + 1, count);
  return stem + text;
}

std::vector<Shard> plan_shards(const std::vector<PlannedTensor>& tensors, const Converter& convert,
                               const ComponentFiles& files) {
  std::vector<size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), 0);
  // Wide numbers first, so that all stand where their width divides: some readers need it.
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return stored_dtype_size(convert.dtype_of(tensors[a])) >
           stored_dtype_size(convert.dtype_of(tensors[b]));
  });
  std::vector<Shard> shards(1);
  size_t size = 0;
  for (const size_t i : order) {
    StoredTensor stored{
        .name = tensors[i].name, .dtype = convert.dtype_of(tensors[i]), .shape = tensors[i].shape};
    const size_t more = byte_size(stored);
    if (size > 0 && size + more > files.max_shard_bytes) {
      shards.emplace_back();
      size = 0;
    }
    size += more;
    shards.back().tensors.push_back(i);
    shards.back().header.push_back(std::move(stored));
  }
  for (size_t i = 0; i < shards.size(); ++i)
    shards[i].name = shard_name(files.stem, i, shards.size());
  return shards;
}

void write_index(const std::vector<Shard>& shards, const ComponentFiles& files) {
  size_t total = 0;
  json weight_map = json::object();
  for (const Shard& shard : shards) {
    for (const StoredTensor& tensor : shard.header) {
      weight_map[tensor.name] = shard.name;
      total += byte_size(tensor);
    }
  }
  const json index{{"metadata", {{"total_size", total}}}, {"weight_map", weight_map}};
  write_new_file(files.folder / (files.stem + ".safetensors.index.json"), index.dump(2) + "\n",
                 files.shown);
}

}  // namespace

NewFolder::NewFolder(const fs::path& target, size_t bytes)
    : shown_(target),
      target_(resolved(checked_target(target))),
      temporary_(io::TemporaryKind::kFolder, target_.parent_path(), target_.filename().string(),
                 shown_) {
  std::error_code error;
  const fs::space_info space = fs::space(temporary_.path(), error);
  if (!error && space.available < bytes) {
    throw OutputError(io::quoted(shown_) + ": its disk has room for " +
                      std::to_string(space.available) + " bytes, wanted " + std::to_string(bytes) +
                      "; free some, or give another OUT");
  }
}

fs::path NewFolder::make(const std::string& name) const {
  const fs::path folder = path() / name;
  if (::mkdir(folder.c_str(), 0777) != 0)
    io::throw_output_error(shown_, "cannot make its folder " + name, errno);
  return folder;
}

void NewFolder::commit() {
  if (::rename(path().c_str(), target_.c_str()) != 0)
    io::throw_output_error(shown_, "cannot rename the finished " + io::quoted(path()), errno);
  temporary_.keep();
  io::sync_folder(target_.parent_path());
}

void write_new_file(const fs::path& path, std::string_view text, const fs::path& shown) {
  const io::Descriptor file = make_file(path, shown);
  io::write_all(file, text.data(), text.size(), shown);
  io::sync(file, shown);
}

void copy_tokenizer(const fs::path& from, const fs::path& to, const fs::path& shown) {
  constexpr size_t kMaxBytes = size_t{64} << 20;
  for (const char* name : {"spiece.model", "tokenizer_config.json", "special_tokens_map.json",
                           "added_tokens.json", "tokenizer.json"}) {
    std::error_code ignored;
    if (fs::exists(from / name, ignored))
      write_new_file(to / name, read_file(from / name, kMaxBytes), shown);
  }
}

void write_component(const TensorSource& source, const std::vector<PlannedTensor>& tensors,
                     const ComponentFiles& files, const AfterChunk& after_chunk) {
  const Converter convert(source, files.dtype);
  const std::vector<Shard> shards = plan_shards(tensors, convert, files);
  for (const Shard& shard : shards) {
    const io::Descriptor file = make_file(files.folder / shard.name, files.shown);
    const std::string prefix = safetensors_prefix(shard.header, {{"format", "pt"}});
    io::write_all(file, prefix.data(), prefix.size(), files.shown);
    for (const size_t i : shard.tensors) {
      convert.chunks(tensors[i], [&](const at::Tensor& chunk) {
        io::write_all(file, chunk.const_data_ptr(), chunk.nbytes(), files.shown);
        after_chunk(chunk.nbytes());
      });
    }
    io::sync(file, files.shown);
  }
  if (shards.size() > 1) write_index(shards, files);
}

void compare_component(const TensorSource& source, const std::vector<PlannedTensor>& tensors,
                       const ComponentFiles& files, const AfterChunk& after_chunk) {
  const Converter convert(source, files.dtype);
  const WeightMap written(files.folder, files.stem);
  for (const PlannedTensor& tensor : tensors) {
    int64_t row = 0;
    convert.chunks(tensor, [&](const at::Tensor& wanted) {
      const RowRange rows{row, row + wanted.size(0)};
      const at::Tensor found = written.copy_rows(tensor.name, rows);
      row = rows.end;
      if (found.nbytes() != wanted.nbytes() ||
          std::memcmp(found.const_data_ptr(), wanted.const_data_ptr(), wanted.nbytes()) != 0) {
        throw OutputError(io::quoted(files.shown) + ": " + files.folder.filename().string() + "/" +
                          tensor.name + " reads back as other bytes; is the disk sound?");
      }
      after_chunk(wanted.nbytes());
    });
  }
}

}  // namespace cogvx::app
