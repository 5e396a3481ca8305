#include "core/weights/torch_pickle.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <utility>

#include "core/base/errors.h"
#include "core/base/json.h"
#include "core/weights/pickle.h"

namespace cogvx {
namespace {

constexpr size_t kMaxRank = 8;
constexpr size_t kMaxKeyLength = 64;
constexpr int64_t kMaxCount = int64_t{1} << 48;  // products with an element's size stay in 64 bits

// What a kObject's number says.
enum ObjectRole : int64_t {
  kRebuildTensor,
  kRebuildParameter,
  kOrderedDict,
  kSize,
  kStorageType,  // text: its dtype
  kStorage,      // items: index
  kTensor        // items: index
};

constexpr std::array<std::pair<const char*, ObjectRole>, 4> kFunctions{
    {{"torch._utils._rebuild_tensor_v2", kRebuildTensor},
     {"torch._utils._rebuild_parameter", kRebuildParameter},
     {"collections.OrderedDict", kOrderedDict},
     {"torch.Size", kSize}}};
constexpr std::array<std::pair<const char*, const char*>, 10> kStorageTypes{
    {{"torch.FloatStorage", "F32"},
     {"torch.HalfStorage", "F16"},
     {"torch.BFloat16Storage", "BF16"},
     {"torch.DoubleStorage", "F64"},
     {"torch.LongStorage", "I64"},
     {"torch.IntStorage", "I32"},
     {"torch.ShortStorage", "I16"},
     {"torch.CharStorage", "I8"},
     {"torch.ByteStorage", "U8"},
     {"torch.BoolStorage", "BOOL"}}};

bool is_record_key(const std::string& key) {
  return !key.empty() && key.size() <= kMaxKeyLength &&
         std::all_of(key.begin(), key.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  c == '_';
         });
}

// Elements of the shape; none where there are more than a file can hold.
std::optional<int64_t> element_count(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (const int64_t extent : shape) {
    if (extent > kMaxCount || (extent != 0 && count > kMaxCount / extent)) return std::nullopt;
    count *= extent;
  }
  return count;
}

// The storage's elements that a tensor reaches, from its start; none where that overflows.
std::optional<int64_t> reach(const TorchTensor& tensor) {
  int64_t last = tensor.offset;
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    if (tensor.shape[i] == 0) return 0;
    const int64_t steps = tensor.shape[i] - 1;
    if (steps != 0 && tensor.strides[i] > (kMaxCount - last) / steps) return std::nullopt;
    last += steps * tensor.strides[i];
  }
  return last + 1;
}

class TorchObjects {
 public:
  TorchObjects(const std::string& label, PickleValues& values) : label_(label), values_(values) {}

  PickleHooks hooks() {
    return {.find_global = [this](const std::string& name) { return find_global(name); },
            .call = [this](PickleIndex f, PickleIndex args) { return call(f, args); },
            .find_persistent = [this](PickleIndex id) { return find_storage(id); }};
  }
  // The dictionary's tensors under their names.
  TorchState state(PickleIndex root);

 private:
  [[noreturn]] void fail(const std::string& what) const { throw DataError(label_ + ": " + what); }

  PickleIndex add_object(ObjectRole role, std::string text = "", size_t index = 0) {
    return values_.add({.kind = PickleKind::kObject,
                        .number = role,
                        .text = std::move(text),
                        .items = {static_cast<PickleIndex>(index)}});
  }
  bool is_object(const PickleValue& value, ObjectRole role) const {
    return value.kind == PickleKind::kObject && value.number == role;
  }

  PickleIndex find_global(const std::string& name);
  PickleIndex call(PickleIndex function, PickleIndex arguments);
  PickleIndex find_storage(PickleIndex id);
  PickleIndex rebuild_tensor(const std::vector<PickleIndex>& items);
  void check_bounds(const TorchTensor& tensor) const;

  // A whole number from 0 to kMaxCount.
  int64_t count_at(PickleIndex index, const char* what) const;
  std::vector<int64_t> counts_at(PickleIndex index, const char* what) const;
  const PickleValue* member(const PickleValue& dictionary, std::string_view key) const;

  const std::string& label_;
  PickleValues& values_;
  TorchState state_;
};

PickleIndex TorchObjects::find_global(const std::string& name) {
  for (const auto& [known, role] : kFunctions) {
    if (name == known) return add_object(role, name);
  }
  for (const auto& [known, dtype] : kStorageTypes) {
    if (name == known) return add_object(kStorageType, dtype);
  }
  fail(
      "its pickle names " + quoted_excerpt(name) +
      ", wanted tensors and plain data only; nothing of it was run; save the state dict alone with "
      "torch.save");
}

int64_t TorchObjects::count_at(PickleIndex index, const char* what) const {
  const PickleValue& value = values_.at(index);
  if (value.kind != PickleKind::kInteger || value.number < 0 || value.number > kMaxCount)
    fail(std::string("a tensor's ") + what + " is no possible number");
  return value.number;
}

std::vector<int64_t> TorchObjects::counts_at(PickleIndex index, const char* what) const {
  const PickleValue& value = values_.at(index);
  if (value.kind != PickleKind::kSequence || value.items.size() > kMaxRank)
    fail(std::string("a tensor's ") + what + " is no possible shape");
  std::vector<int64_t> counts;
  for (const PickleIndex item : value.items) counts.push_back(count_at(item, what));
  return counts;
}

// ('storage', type, key, location, count)
PickleIndex TorchObjects::find_storage(PickleIndex id) {
  const PickleValue& value = values_.at(id);
  const auto& items = value.items;
  if (value.kind != PickleKind::kSequence || items.size() != 5 ||
      values_.at(items[0]).text != "storage" || !is_object(values_.at(items[1]), kStorageType) ||
      values_.at(items[2]).kind != PickleKind::kText || !is_record_key(values_.at(items[2]).text))
    fail("a storage is described in a way that torch.save does not use");
  TorchStorage storage{.key = values_.at(items[2]).text,
                       .dtype = values_.at(items[1]).text,
                       .count = count_at(items[4], "storage size")};
  state_.storages.push_back(std::move(storage));
  return add_object(kStorage, "", state_.storages.size() - 1);
}

// (storage, offset, size, stride, requires_grad, hooks[, metadata])
PickleIndex TorchObjects::rebuild_tensor(const std::vector<PickleIndex>& items) {
  if (items.size() < 6 || items.size() > 7 || !is_object(values_.at(items[0]), kStorage))
    fail("a tensor is described in a way that torch.save does not use");
  TorchTensor tensor{.name = "",
                     .shape = counts_at(items[2], "size"),
                     .strides = counts_at(items[3], "stride"),
                     .offset = count_at(items[1], "offset"),
                     .storage = values_.at(items[0]).items[0]};
  check_bounds(tensor);
  state_.tensors.push_back(std::move(tensor));
  return add_object(kTensor, "", state_.tensors.size() - 1);
}

void TorchObjects::check_bounds(const TorchTensor& tensor) const {
  const TorchStorage& storage = state_.storages.at(tensor.storage);
  if (tensor.shape.size() != tensor.strides.size())
    fail("a tensor has " + std::to_string(tensor.shape.size()) + " extents and " +
         std::to_string(tensor.strides.size()) + " strides");
  const auto count = element_count(tensor.shape);
  const auto end = reach(tensor);
  // One that repeats elements could be of any size, whatever the file's.
  if (!count || !end || *count > storage.count || *end > storage.count) {
    fail("a tensor reaches beyond the " + std::to_string(storage.count) +
         " elements of its storage " + quoted_excerpt(storage.key));
  }
}

PickleIndex TorchObjects::call(PickleIndex function, PickleIndex arguments) {
  const std::vector<PickleIndex>& given = values_.at(arguments).items;
  switch (values_.at(function).number) {
    case kRebuildTensor:
      return rebuild_tensor(given);
    case kRebuildParameter:  // (tensor, requires_grad, hooks)
      if (given.empty() || !is_object(values_.at(given[0]), kTensor))
        fail("a parameter is no tensor");
      return given[0];
    case kOrderedDict:
      if (!given.empty()) fail("an ordered dictionary is made in one call");
      return values_.add({.kind = PickleKind::kDictionary});
    case kSize:  // (sizes)
      if (given.size() != 1) fail("a size is no sequence");
      return given[0];
    default:
      fail("its pickle calls what is no function");
  }
}

const PickleValue* TorchObjects::member(const PickleValue& dictionary, std::string_view key) const {
  for (size_t i = 0; i + 1 < dictionary.items.size(); i += 2) {
    const PickleValue& name = values_.at(dictionary.items[i]);
    const PickleValue& value = values_.at(dictionary.items[i + 1]);
    if (name.kind == PickleKind::kText && name.text == key && value.kind == PickleKind::kDictionary)
      return &value;
  }
  return nullptr;
}

TorchState TorchObjects::state(PickleIndex root) {
  const PickleValue* dictionary = &values_.at(root);
  for (const char* wrapper : {"model", "module", "state_dict"}) {
    if (dictionary->kind != PickleKind::kDictionary) break;
    if (const PickleValue* inner = member(*dictionary, wrapper)) dictionary = inner;
  }
  if (dictionary->kind != PickleKind::kDictionary || dictionary->items.empty())
    fail("it holds no dictionary of tensors; is it a checkpoint?");
  TorchState found;
  std::set<std::string> names;
  for (size_t i = 0; i + 1 < dictionary->items.size(); i += 2) {
    const PickleValue& name = values_.at(dictionary->items[i]);
    const PickleValue& value = values_.at(dictionary->items[i + 1]);
    if (name.kind != PickleKind::kText) fail("a key of its state dict is no text");
    if (!is_object(value, kTensor))
      fail(quoted_excerpt(name.text) + " is no tensor; is it a state dict?");
    if (!names.insert(name.text).second)
      fail("tensor " + quoted_excerpt(name.text) + " is there twice");
    found.tensors.push_back(state_.tensors.at(value.items[0]));
    found.tensors.back().name = name.text;
  }
  found.storages = std::move(state_.storages);
  return found;
}

}  // namespace

TorchState parse_torch_pickle(std::string_view pickle, const std::string& label) {
  PickleValues values(label);
  TorchObjects objects(label, values);
  const PickleIndex root = interpret_pickle(pickle, label, objects.hooks(), values);
  return objects.state(root);
}

}  // namespace cogvx
