#include "core/weights/shard_index.h"

#include <nlohmann/json.hpp>

#include "core/base/errors.h"
#include "core/base/json.h"

namespace cogvx {
namespace {

using nlohmann::json;

bool is_plain_file_name(const std::string& name) {
  // The system would end the name at a NUL.
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

}  // namespace

std::map<std::string, std::string> parse_shard_index(std::string_view text,
                                                     const std::string& label) {
  const json index = parse_json_object(text, label);
  const auto weight_map = index.find("weight_map");
  if (weight_map == index.end() || !weight_map->is_object())
    throw DataError(label + ": is not an index: no object 'weight_map' in it");
  std::map<std::string, std::string> shard_of;
  for (const auto& [name, file] : weight_map->items()) {
    if (!file.is_string() || !is_plain_file_name(file.get<std::string>())) {
      throw DataError(label + ": tensor " + quoted_excerpt(name) + " is said to be in " +
                      json_excerpt(file) + ", wanted a file name in this folder");
    }
    shard_of[name] = file.get<std::string>();
  }
  return shard_of;
}

}  // namespace cogvx
