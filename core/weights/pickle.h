#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace cogvx {

enum class PickleKind : uint8_t {
  kNone,
  kInteger,     // `number`; booleans too
  kOpaque,      // a number or bytes that nobody asks for
  kText,        // `text`
  kSequence,    // a list or tuple, `items`
  kDictionary,  // `items`: key, value, key, value, ...
  kObject       // one that hooks made; `number` and `text` are theirs
};

// References between values are indices into their arena, so that nothing recurses, however deep or
// circular they are.
using PickleIndex = uint32_t;
struct PickleValue {
  PickleKind kind = PickleKind::kNone;
  int64_t number = 0;
  std::string text{};
  std::vector<PickleIndex> items{};
};

// All values of one pickle.
class PickleValues {
 public:
  explicit PickleValues(std::string label) : label_(std::move(label)) {}
  // Throws DataError where there are too many.
  PickleIndex add(PickleValue value);
  PickleValue& at(PickleIndex index) { return values_.at(index); }
  const PickleValue& at(PickleIndex index) const { return values_.at(index); }

 private:
  std::string label_;
  std::vector<PickleValue> values_;
};

// What a pickle means beyond plain data. Each hook throws DataError for what it does not know.
struct PickleHooks {
  // "module.name" -> an object
  std::function<PickleIndex(const std::string& name)> find_global;
  // An object called with a sequence of arguments.
  std::function<PickleIndex(PickleIndex object, PickleIndex arguments)> call;
  // A persistent id.
  std::function<PickleIndex(PickleIndex id)> find_persistent;
};

// Interprets a pickle (protocols 2 to 5, as torch.save writes them) as data: it runs no code and
// knows no other objects than those the hooks give. Returns the index of the outermost value.
// Throws DataError for any opcode beyond that, a stack that does not fit it, or too much of
// anything.
PickleIndex interpret_pickle(std::string_view pickle, const std::string& label,
                             const PickleHooks& hooks, PickleValues& values);

}  // namespace cogvx
