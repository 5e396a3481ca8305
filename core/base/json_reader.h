#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace cogvx {

// Typed access to the members of one JSON object. Every complaint is a DataError
// "<label>: 'key' is <found>, wanted <wanted>".
class JsonReader {
 public:
  enum class Absent { kKeepsDefault, kIsAnError };
  // The object must outlive the reader. An absent or null key leaves the value as it is, or is an
  // error.
  JsonReader(const nlohmann::json& object, std::string label,
             Absent absent = Absent::kKeepsDefault);

  // A whole number in [min, max].
  void count(const char* key, int64_t& value, int64_t min = 1,
             int64_t max = int64_t{1} << 24) const;
  void natural(const char* key, uint64_t& value) const;
  // A finite number.
  void real(const char* key, double& value) const;
  void positive(const char* key, double& value) const;
  void flag(const char* key, bool& value) const;
  void text(const char* key, std::string& value) const;
  // One of the names, which stand for values.
  template <typename T>
  void choice(const char* key, T& value,
              const std::vector<std::pair<T, const char*>>& choices) const {
    if (skip(key)) return;
    const nlohmann::json& found = object_.at(key);
    std::string wanted;
    for (const auto& [meaning, name] : choices) {
      if (found == name) {
        value = meaning;
        return;
      }
      wanted += (wanted.empty() ? "" : " or ") + std::string(name);
    }
    fail(key, wanted);
  }
  // A key that is read only to be sure that it means what the architecture fixes.
  void fixed(const char* key, const nlohmann::json& wanted) const;
  // The reader of a member that must be an object.
  JsonReader object(const char* key) const;
  // Refuses keys that are not among these.
  void only(const std::vector<const char*>& keys) const;

  bool absent(const char* key) const;
  [[noreturn]] void fail(const char* key, const std::string& wanted) const;

 private:
  bool skip(const char* key) const;

  const nlohmann::json& object_;
  std::string label_;
  Absent absent_;
};

}  // namespace cogvx
