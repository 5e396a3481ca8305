#include "core/base/json_reader.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "core/base/errors.h"
#include "core/base/json.h"

namespace cogvx {

using nlohmann::json;

JsonReader::JsonReader(const json& object, std::string label, Absent absent)
    : object_(object), label_(std::move(label)), absent_(absent) {
  if (!object.is_object())
    throw DataError(label_ + ": is " + json_excerpt(object) + ", wanted a JSON object");
}

void JsonReader::count(const char* key, int64_t& value, int64_t min, int64_t max) const {
  if (skip(key)) return;
  const json& found = object_.at(key);
  if (!found.is_number_integer()) fail(key, "a whole number");
  const int64_t number = found.is_number_unsigned() && found.get<uint64_t>() > INT64_MAX
                             ? INT64_MAX
                             : found.get<int64_t>();
  if (number < min || number > max) fail(key, std::to_string(min) + " to " + std::to_string(max));
  value = number;
}

void JsonReader::natural(const char* key, uint64_t& value) const {
  if (skip(key)) return;
  const json& found = object_.at(key);
  // A document built in memory may hold a natural number as a signed one.
  if (!found.is_number_unsigned() && !(found.is_number_integer() && found.get<int64_t>() >= 0))
    fail(key, "a whole number from 0 to 18446744073709551615");
  value = found.get<uint64_t>();
}

void JsonReader::real(const char* key, double& value) const {
  if (skip(key)) return;
  const json& found = object_.at(key);
  if (!found.is_number() || !std::isfinite(found.get<double>())) fail(key, "a number");
  value = found.get<double>();
}

void JsonReader::positive(const char* key, double& value) const {
  real(key, value);
  if (!(value > 0)) fail(key, "a number above 0");
}

void JsonReader::flag(const char* key, bool& value) const {
  if (skip(key)) return;
  if (!object_.at(key).is_boolean()) fail(key, "true or false");
  value = object_.at(key).get<bool>();
}

void JsonReader::text(const char* key, std::string& value) const {
  if (skip(key)) return;
  if (!object_.at(key).is_string()) fail(key, "a string");
  value = object_.at(key).get<std::string>();
}

void JsonReader::fixed(const char* key, const json& wanted) const {
  if (!absent(key) && object_.at(key) != wanted)
    fail(key, wanted.dump() + ", the only value of CogVideoX checkpoints");
}

JsonReader JsonReader::object(const char* key) const {
  if (absent(key) || !object_.at(key).is_object()) fail(key, "an object");
  return {object_.at(key), label_ + ": " + key, absent_};
}

void JsonReader::only(const std::vector<const char*>& keys) const {
  for (const auto& [key, value] : object_.items()) {
    if (std::find(keys.begin(), keys.end(), key) == keys.end())
      throw DataError(label_ + ": " + quoted_excerpt(key) + " is unknown to this version");
  }
}

bool JsonReader::absent(const char* key) const {
  const auto found = object_.find(key);
  return found == object_.end() || found->is_null();
}

void JsonReader::fail(const char* key, const std::string& wanted) const {
  throw DataError(label_ + ": '" + key + "' is " +
                  (absent(key) ? "missing" : json_excerpt(object_.at(key))) + ", wanted " + wanted);
}

bool JsonReader::skip(const char* key) const {
  if (!absent(key)) return false;
  if (absent_ == Absent::kIsAnError) fail(key, "it here; was this written by another version?");
  return true;
}

}  // namespace cogvx
