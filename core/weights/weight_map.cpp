#include "core/weights/weight_map.h"

#include <set>

#include "core/base/errors.h"
#include "core/base/json.h"
#include "core/base/read_file.h"
#include "core/base/sha256.h"
#include "core/base/shapes.h"
#include "core/weights/shard_index.h"
#include "core/weights/stored_numbers.h"

namespace cogvx {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxIndexBytes = size_t{64} << 20;

}  // namespace

WeightMap::WeightMap(const fs::path& component_dir, const std::string& stem) : dir_(component_dir) {
  const fs::path index_path = dir_ / (stem + ".safetensors.index.json");
  require_folder(dir_, "is --model a diffusers checkpoint?");
  if (may_exist(index_path)) {
    map_shards(index_path);
  } else {
    map_file(stem + ".safetensors");
  }
}

void WeightMap::map_file(const std::string& file_name) {
  const fs::path path = dir_ / file_name;
  require_file(path, "is the download complete?");
  files_.push_back(std::make_shared<const MappedFile>(path));
  for (StoredTensor& tensor : parse_safetensors(files_.back()->bytes(), path.string()).tensors) {
    const std::string name = tensor.name;
    const auto [place, fresh] =
        tensors_.try_emplace(name, Place{.file = files_.size() - 1, .stored = std::move(tensor)});
    if (!fresh)
      throw DataError(path.string() + ": tensor " + quoted_excerpt(name) + " is in " +
                      label(place->second) + " too");
  }
}

void WeightMap::map_shards(const fs::path& index_path) {
  const auto shard_of =
      parse_shard_index(read_file(index_path, kMaxIndexBytes), index_path.string());
  std::set<std::string> shards;
  for (const auto& [name, file] : shard_of) shards.insert(file);
  for (const std::string& shard : shards) map_file(shard);
  for (const auto& [name, file] : shard_of) {
    const auto found = tensors_.find(name);
    if (found == tensors_.end() || files_[found->second.file]->path().filename() != file) {
      throw DataError(index_path.string() + ": tensor " + quoted_excerpt(name) +
                      " is said to be in " + file + ", which does not hold it");
    }
  }
}

std::string WeightMap::label(const Place& place) const {
  return files_[place.file]->path().string();
}

WeightMap::Place& WeightMap::untaken(const std::string& name, at::IntArrayRef shape) {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) {
    throw DataError(dir_.string() + ": tensor '" + name + "' " + shape_text(shape) +
                    " is missing; is this checkpoint complete, and its config.json its own?");
  }
  Place& place = found->second;
  if (place.taken) throw std::logic_error("tensor '" + name + "' is taken twice");
  if (shape != at::IntArrayRef(place.stored.shape)) {
    throw DataError(label(place) + ": tensor '" + name + "' is " + shape_text(place.stored.shape) +
                    ", this model wants " + shape_text(shape) +
                    "; was it downloaded for another size?");
  }
  return place;
}

// As stored, in the file where it can be.
at::Tensor WeightMap::read(Place& place) {
  const std::shared_ptr<const MappedFile>& file = files_[place.file];
  file->read_ahead(place.stored.begin, place.stored.end - place.stored.begin);
  const auto numbers = checked_numbers(place.stored, file->bytes(), label(place));
  auto range = std::make_shared<const MappedRange>(file, place.stored.begin, numbers.size());
  if (!hasher_) hasher_ = std::make_unique<BackgroundHasher>();
  hasher_->add(range, place.sha256);
  place.taken = true;
  return view_numbers(place.stored, std::move(range));
}

at::Tensor WeightMap::take(const std::string& name, at::IntArrayRef shape, at::ScalarType dtype) {
  at::Tensor tensor = read(untaken(name, shape)).to(dtype, /*non_blocking=*/false, /*copy=*/true);
  if (patch_) patch_(name, tensor);
  return tensor;
}

at::Tensor WeightMap::lend(const std::string& name, at::IntArrayRef shape, at::ScalarType dtype) {
  return patch_ ? take(name, shape, dtype) : read(untaken(name, shape)).to(dtype);
}

void WeightMap::read_ahead(const std::string& prefix) const {
  for (auto at = tensors_.lower_bound(prefix);
       at != tensors_.end() && at->first.starts_with(prefix); ++at) {
    const StoredTensor& stored = at->second.stored;
    files_[at->second.file]->read_ahead(stored.begin, stored.end - stored.begin);
  }
}

void WeightMap::ignore(const std::string& name) {
  if (const auto found = tensors_.find(name); found != tensors_.end()) found->second.ignored = true;
}

void WeightMap::ignore_prefix(const std::string& prefix) {
  for (auto& [name, place] : tensors_) {
    if (name.starts_with(prefix)) place.ignored = true;
  }
}

TensorShapes WeightMap::shapes() const {
  TensorShapes shapes;
  for (const auto& [name, place] : tensors_) shapes[name] = place.stored.shape;
  return shapes;
}

std::vector<StoredTensor> WeightMap::stored() const {
  std::vector<StoredTensor> stored;
  for (const auto& [name, place] : tensors_) stored.push_back(place.stored);
  return stored;
}

at::Tensor WeightMap::copy_rows(const std::string& name, RowRange rows) const {
  const Place& place = tensors_.at(name);
  const MappedFile& file = *files_[place.file];
  StoredTensor part = place.stored;
  if (part.shape.empty()) part.shape = {1};
  const size_t row =
      part.shape[0] == 0 ? 0 : (part.end - part.begin) / static_cast<size_t>(part.shape[0]);
  part.end = part.begin + static_cast<size_t>(rows.end) * row;
  part.begin += static_cast<size_t>(rows.begin) * row;
  part.shape[0] = rows.size();
  at::Tensor numbers = copy_numbers(part, file.bytes());
  file.drop_pages(part.begin, part.end - part.begin);
  return numbers;
}

std::string WeightMap::stored_dtype() const {
  std::map<std::string, size_t> bytes;
  for (const auto& [name, place] : tensors_)
    bytes[place.stored.dtype] += place.stored.end - place.stored.begin;
  std::string best = "F32";
  size_t most = 0;
  for (const auto& [dtype, size] : bytes) {
    if (size > most) most = size, best = dtype;
  }
  return best;
}

void WeightMap::finish() const {
  std::string names;
  int left_over = 0;
  for (const auto& [name, place] : tensors_) {
    if (place.taken || place.ignored) continue;
    if (++left_over <= 3) names += (names.empty() ? "" : ", ") + quoted_excerpt(name);
  }
  if (left_over == 0) return;
  throw DataError(dir_.string() + ": " + std::to_string(left_over) +
                  " tensors are left over, this model has no place for " + names +
                  (left_over > 3 ? ", ..." : "") +
                  "; does its config.json belong to these weights?");
}

std::string WeightMap::content_sha256() const {
  if (hasher_) hasher_->wait();
  Sha256 hash;
  for (const auto& [name, place] : tensors_) {
    if (place.sha256.empty()) continue;
    const std::string line = name + " " + place.stored.dtype + " " +
                             shape_text(place.stored.shape) + " " + place.sha256 + "\n";
    hash.update(line.data(), line.size());
  }
  return hash.hex_digest();
}

}  // namespace cogvx
