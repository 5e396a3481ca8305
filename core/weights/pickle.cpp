#include "core/weights/pickle.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <unordered_map>
#include <utility>

#include "core/base/errors.h"

namespace cogvx {
namespace {

constexpr size_t kMaxValues = 1'000'000;
constexpr size_t kMaxDepth = 100;
constexpr uint8_t kNewestProtocol = 5;

class Machine {
 public:
  Machine(std::string_view pickle, const std::string& label, const PickleHooks& hooks,
          PickleValues& values)
      : pickle_(pickle), label_(label), hooks_(hooks), values_(values) {}

  PickleIndex run() {
    while (true) {
      opcode_at_ = at_;
      const auto opcode = number<uint8_t>();
      if (opcode == '.') return pop();
      if (!frame(opcode) && !literal(opcode) && !memo(opcode) && !container(opcode) &&
          !object(opcode)) {
        char text[8];
        std::snprintf(text, sizeof(text), "0x%02x", opcode);
        fail(std::string("opcode ") + text +
             " is none of those that a state dict saved by torch.save needs");
      }
    }
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw DataError(label_ + ": pickle byte " + std::to_string(opcode_at_) + ": " + what);
  }

  std::string_view bytes(uint64_t count) {
    if (count > pickle_.size() - at_) fail("it is cut; is the download complete?");
    const std::string_view found = pickle_.substr(at_, count);
    at_ += count;
    return found;
  }
  template <typename T>
  T number() {
    T value;
    std::memcpy(&value, bytes(sizeof(T)).data(), sizeof(T));
    return value;
  }
  std::string line() {
    const size_t end = pickle_.find('\n', at_);
    if (end == std::string_view::npos) fail("it is cut; is the download complete?");
    const std::string_view found = bytes(end - at_);
    ++at_;
    return std::string(found);
  }

  void push(PickleIndex index) {
    if (stack_.size() >= kMaxValues) fail("its stack is too high");
    stack_.push_back(index);
  }
  void push(PickleValue value) { push(values_.add(std::move(value))); }
  void push_integer(int64_t value) { push({.kind = PickleKind::kInteger, .number = value}); }
  void push_text(std::string_view text) {
    push({.kind = PickleKind::kText, .text = std::string(text)});
  }
  void push_opaque() { push({.kind = PickleKind::kOpaque}); }
  size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  PickleIndex top() const {
    if (stack_.size() <= floor()) fail("its stack is empty");
    return stack_.back();
  }
  PickleIndex pop() {
    const PickleIndex index = top();
    stack_.pop_back();
    return index;
  }
  // The values above the last mark, which goes too.
  std::vector<PickleIndex> pop_marked() {
    if (marks_.empty()) fail("it has no mark");
    const auto begin = stack_.begin() + static_cast<int64_t>(marks_.back());
    std::vector<PickleIndex> items(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    marks_.pop_back();
    return items;
  }
  std::vector<PickleIndex> pop_many(size_t count) {
    std::vector<PickleIndex> items(count);
    for (size_t i = count; i-- > 0;) items[i] = pop();
    return items;
  }
  void push_sequence(std::vector<PickleIndex> items) {
    push({.kind = PickleKind::kSequence, .items = std::move(items)});
  }
  void extend(PickleKind kind, const std::vector<PickleIndex>& more) {
    PickleValue& container = values_.at(top());
    if (container.kind != kind) fail("it adds to what is no list or dictionary");
    if (kind == PickleKind::kDictionary && more.size() % 2 != 0) fail("a key has no value");
    container.items.insert(container.items.end(), more.begin(), more.end());
  }

  bool frame(uint8_t opcode) {
    switch (opcode) {
      case 0x80: {  // PROTO
        const auto protocol = number<uint8_t>();
        if (protocol > kNewestProtocol)
          fail("protocol " + std::to_string(protocol) + " is unknown");
        return true;
      }
      case 0x95:  // FRAME
        number<uint64_t>();
        return true;
      default:
        return false;
    }
  }

  void push_long(uint64_t size) {
    const std::string_view digits = bytes(size);
    if (digits.size() > sizeof(int64_t)) return push_opaque();
    // Two's complement, little-endian; the last byte has the sign.
    const bool negative = !digits.empty() && static_cast<int8_t>(digits.back()) < 0;
    int64_t value = negative ? -1 : 0;
    std::memcpy(&value, digits.data(), digits.size());
    push_integer(value);
  }

  bool literal(uint8_t opcode) {
    switch (opcode) {
      case 'N':
        push(PickleValue{});
        return true;
      case 0x88:  // NEWTRUE, NEWFALSE
      case 0x89:
        push_integer(opcode == 0x88 ? 1 : 0);
        return true;
      case 'J':  // BININT, BININT1, BININT2
        push_integer(number<int32_t>());
        return true;
      case 'K':
        push_integer(number<uint8_t>());
        return true;
      case 'M':
        push_integer(number<uint16_t>());
        return true;
      case 0x8a:  // LONG1
        push_long(number<uint8_t>());
        return true;
      case 'G':  // BINFLOAT
        bytes(sizeof(double));
        push_opaque();
        return true;
      default:
        return text(opcode);
    }
  }

  bool text(uint8_t opcode) {
    switch (opcode) {
      case 'X':  // BINUNICODE, SHORT_BINUNICODE, BINUNICODE8
        push_text(bytes(number<uint32_t>()));
        return true;
      case 0x8c:
        push_text(bytes(number<uint8_t>()));
        return true;
      case 0x8d:
        push_text(bytes(number<uint64_t>()));
        return true;
      case 'B':  // BINBYTES, SHORT_BINBYTES
        bytes(number<uint32_t>());
        push_opaque();
        return true;
      case 'C':
        bytes(number<uint8_t>());
        push_opaque();
        return true;
      default:
        return false;
    }
  }

  void remember(uint64_t key) {
    if (memo_.size() >= kMaxValues) fail("its memo is too large");
    memo_[key] = top();
  }
  void recall(uint64_t key) {
    const auto found = memo_.find(key);
    if (found == memo_.end()) fail("it recalls what it never remembered");
    push(found->second);
  }

  bool memo(uint8_t opcode) {
    switch (opcode) {
      case 'q':  // BINPUT, LONG_BINPUT, MEMOIZE
        remember(number<uint8_t>());
        return true;
      case 'r':
        remember(number<uint32_t>());
        return true;
      case 0x94:
        remember(memo_.size());
        return true;
      case 'h':  // BINGET, LONG_BINGET
        recall(number<uint8_t>());
        return true;
      case 'j':
        recall(number<uint32_t>());
        return true;
      case '0':  // POP
        pop();
        return true;
      default:
        return false;
    }
  }

  bool container(uint8_t opcode) {
    switch (opcode) {
      case '}':
        push({.kind = PickleKind::kDictionary});
        return true;
      case ']':
      case ')':
        push_sequence({});
        return true;
      case '(':
        if (marks_.size() >= kMaxDepth) fail("it is nested too deep");
        marks_.push_back(stack_.size());
        return true;
      case 't':
        push_sequence(pop_marked());
        return true;
      case 0x85:  // TUPLE1, TUPLE2, TUPLE3
      case 0x86:
      case 0x87:
        push_sequence(pop_many(opcode - 0x84));
        return true;
      case 'a':
        extend(PickleKind::kSequence, pop_many(1));
        return true;
      case 'e':
        extend(PickleKind::kSequence, pop_marked());
        return true;
      case 's':
        extend(PickleKind::kDictionary, pop_many(2));
        return true;
      case 'u':
        extend(PickleKind::kDictionary, pop_marked());
        return true;
      default:
        return false;
    }
  }

  std::string pop_text() {
    const PickleValue& value = values_.at(pop());
    if (value.kind != PickleKind::kText) fail("a name is no text");
    return value.text;
  }
  void call() {
    const PickleIndex arguments = pop();
    const PickleIndex function = pop();
    if (values_.at(function).kind != PickleKind::kObject ||
        values_.at(arguments).kind != PickleKind::kSequence)
      fail("it calls what is no function, or with no arguments");
    push(hooks_.call(function, arguments));
  }

  bool object(uint8_t opcode) {
    switch (opcode) {
      case 'c': {
        const std::string module = line();
        push(hooks_.find_global(module + "." + line()));
        return true;
      }
      case 0x93: {  // STACK_GLOBAL
        const std::string name = pop_text();
        push(hooks_.find_global(pop_text() + "." + name));
        return true;
      }
      case 'R':
      case 0x81:  // NEWOBJ
        call();
        return true;
      case 'Q':
        push(hooks_.find_persistent(pop()));
        return true;
      case 'b':  // BUILD: attributes of an ordered dictionary or a tensor, which nobody asks for
        pop();
        top();
        return true;
      default:
        return false;
    }
  }

  std::string_view pickle_;
  const std::string& label_;
  const PickleHooks& hooks_;
  PickleValues& values_;
  size_t at_ = 0;
  size_t opcode_at_ = 0;
  std::vector<PickleIndex> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint64_t, PickleIndex> memo_;
};

}  // namespace

PickleIndex PickleValues::add(PickleValue value) {
  if (values_.size() >= kMaxValues) {
    throw DataError(label_ + ": its pickle makes more than " + std::to_string(kMaxValues) +
                    " values, too many for a state dict");
  }
  values_.push_back(std::move(value));
  return static_cast<PickleIndex>(values_.size() - 1);
}

PickleIndex interpret_pickle(std::string_view pickle, const std::string& label,
                             const PickleHooks& hooks, PickleValues& values) {
  return Machine(pickle, label, hooks, values).run();
}

}  // namespace cogvx
