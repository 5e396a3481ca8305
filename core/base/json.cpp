#include "core/base/json.h"

#include <nlohmann/json.hpp>
#include <unordered_set>
#include <vector>

#include "core/base/errors.h"
#include "core/base/lfs_pointer.h"

namespace cogvx {
namespace {

using nlohmann::json;

// dump() and comparison recurse; nothing this program reads is deeper than five levels.
constexpr size_t kMaxDepth = 64;
// A value takes up to fifty times its text in memory. The largest shard's header has some 20,000.
constexpr size_t kMaxValues = size_t{1} << 20;
constexpr size_t kExcerptBytes = 80;

std::string syntax_error(size_t position) {
  return "is not JSON: syntax error at byte " + std::to_string(position) +
         "; is the file complete?";
}

// Looks at every event of a parse and builds nothing. A parser with a callback would do both, but
// takes time in the square of an object's members.
class Check final : public nlohmann::json_sax<json> {
 public:
  bool null() override { return count(); }
  bool boolean(bool) override { return count(); }
  bool number_integer(int64_t) override { return count(); }
  bool number_unsigned(uint64_t) override { return count(); }
  bool number_float(double, const std::string&) override { return count(); }
  bool string(std::string&) override { return count(); }
  bool binary(binary_t&) override { return count(); }
  bool start_object(size_t) override { return open(); }
  bool start_array(size_t) override { return open(); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(std::string& name) override {
    if (levels_.back().insert(name).second) return true;
    return refuse("key " + quoted_excerpt(name) + " stands twice in one object");
  }
  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    constexpr int kNumberOverflow = 406;
    if (error.id == kNumberOverflow)
      return refuse("holds a number no double can hold at byte " + std::to_string(position));
    return refuse(syntax_error(position));
  }
  // What is wrong; empty: nothing.
  const std::string& problem() const { return problem_; }

 private:
  bool open() {
    if (levels_.size() == kMaxDepth)
      return refuse("is nested deeper than " + std::to_string(kMaxDepth) + " levels");
    levels_.emplace_back();
    return count();
  }
  bool close() {
    levels_.pop_back();
    return true;
  }
  bool count() {
    return ++values_ <= kMaxValues ||
           refuse("holds more than " + std::to_string(kMaxValues) + " values");
  }
  bool refuse(const std::string& problem) {
    problem_ = problem;
    return false;
  }

  std::vector<std::unordered_set<std::string>> levels_;  // keys of each open object
  size_t values_ = 0;
  std::string problem_;
};

}  // namespace

json parse_json_object(std::string_view text, const std::string& label) {
  refuse_lfs_pointer(text, label);
  const auto fail = [&](const std::string& what) { throw DataError(label + ": " + what); };
  // To nlohmann's parser a NUL is the end of the text, whatever follows.
  if (const size_t nul = text.find('\0'); nul != std::string_view::npos)
    fail(syntax_error(nul + 1));
  Check check;
  json::sax_parse(text, &check);
  if (!check.problem().empty()) fail(check.problem());
  json object = json::parse(text);
  if (!object.is_object()) fail("is not a JSON object: it is " + json_excerpt(object));
  return object;
}

std::string json_excerpt(const json& value) {
  std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
  if (text.size() <= kExcerptBytes) return text;
  size_t end = kExcerptBytes;
  const auto inside_character = [&](size_t at) {
    return (static_cast<unsigned char>(text[at]) & 0xc0U) == 0x80U;
  };
  while (inside_character(end)) --end;
  return text.substr(0, end) + "...";
}

std::string quoted_excerpt(std::string_view name) {
  std::string text = json_excerpt(json(std::string(name)));
  text.front() = '\'';
  if (text.back() == '"') text.back() = '\'';
  return text;
}

}  // namespace cogvx
